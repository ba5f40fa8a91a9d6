"""Network: layer widths, functions, and one flat parameter vector; Predictor, a frozen one."""

from fastmlp.network.network import Network as Network
from fastmlp.network.predictor import Predictor as Predictor
from fastmlp.network.summary import LayerSummary as LayerSummary
from fastmlp.network.summary import Summary as Summary
