"""Several machines: networks trained by the workers of a Dask cluster, with the bits of one."""

from fastmlp.dask.classifier import DaskMLPClassifier as DaskMLPClassifier
from fastmlp.dask.regressor import DaskMLPRegressor as DaskMLPRegressor
from fastmlp.dask.train import train as train
