"""Several machines: a network trained by the workers of a Dask cluster, with the bits of one."""

from fastmlp.dask.train import train as train
