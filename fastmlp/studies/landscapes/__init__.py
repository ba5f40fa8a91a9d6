"""The study landscapes: error surfaces, and the line between two runs."""

from fastmlp.studies.landscapes.study import STUDY as STUDY
