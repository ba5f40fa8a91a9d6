"""The study mini-batches: how the split of the rows changes cost, gradient and path."""

from fastmlp.studies.mini_batches.study import STUDY as STUDY
