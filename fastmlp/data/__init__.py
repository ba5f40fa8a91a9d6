"""Rows from anywhere: sources that are read window by window, for tables larger than memory."""

from fastmlp.data.arrays import ArraySource as ArraySource
from fastmlp.data.arrow import ArrowSource as ArrowSource
from fastmlp.data.classes import OneHotSource as OneHotSource
from fastmlp.data.classes import find_classes as find_classes
from fastmlp.data.classes import one_hot as one_hot
from fastmlp.data.concatenate import ConcatenatedSource as ConcatenatedSource
from fastmlp.data.concatenate import concatenate as concatenate
from fastmlp.data.parquet import ParquetSource as ParquetSource
from fastmlp.data.predicting import predict as predict
from fastmlp.data.scaling import ScaledSource as ScaledSource
from fastmlp.data.scaling import fit_scaler as fit_scaler
from fastmlp.data.scaling import scaled as scaled
from fastmlp.data.sequence import SequenceSource as SequenceSource
from fastmlp.data.source import Source as Source
from fastmlp.data.source import SourceRows as SourceRows
from fastmlp.data.split import SplitSource as SplitSource
from fastmlp.data.split import split as split
from fastmlp.data.window_size import WindowSizeSource as WindowSizeSource
from fastmlp.data.window_size import with_window as with_window
from fastmlp.data.windows import WindowSource as WindowSource
from fastmlp.data.windows import windows as windows
