"""The study best-of-60s: the best test accuracy that fits into 60 seconds of training."""

from fastmlp.studies.best_of_60s.study import STUDY as STUDY
