"""Loading and checking of data sets: MNIST, Fashion-MNIST, digits, two moons, and files."""

from fastmlp.datasets.arrays import Dataset as Dataset
from fastmlp.datasets.loading import NAMES as NAMES
from fastmlp.datasets.loading import find as find
from fastmlp.datasets.loading import load as load
