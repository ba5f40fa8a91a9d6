"""Export and import of models: safetensors files, ONNX, skl2onnx and Keras."""

from fastmlp.exchange.converters import register_skl2onnx as register_skl2onnx
from fastmlp.exchange.keras import from_keras as from_keras
from fastmlp.exchange.keras import to_keras as to_keras
from fastmlp.exchange.onnx import export_onnx as export_onnx
from fastmlp.exchange.saving import load as load
from fastmlp.exchange.saving import save as save
