"""Rows from anywhere: sources that are read window by window, for tables larger than memory."""

from fastmlp.data.arrays import ArraySource as ArraySource
from fastmlp.data.concatenate import ConcatenatedSource as ConcatenatedSource
from fastmlp.data.concatenate import concatenate as concatenate
from fastmlp.data.sequence import SequenceSource as SequenceSource
from fastmlp.data.source import Source as Source
from fastmlp.data.source import SourceRows as SourceRows
from fastmlp.data.windows import WindowSource as WindowSource
from fastmlp.data.windows import windows as windows
