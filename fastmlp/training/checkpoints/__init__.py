"""Checkpoints: what is saved of a training run, when, and what a resumed run must share."""
