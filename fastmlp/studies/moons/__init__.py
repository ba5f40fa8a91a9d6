"""The study moons: how classifiers divide the plane."""

from fastmlp.studies.moons.study import STUDY as STUDY
