"""Autoencoders: networks whose target is their own input."""

from fastmlp.studies.autoencoder.study import STUDY as STUDY
