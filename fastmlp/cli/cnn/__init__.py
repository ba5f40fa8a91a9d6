"""The command ``fastmlp cnn``."""
