"""The command ``fastmlp``."""

from fastmlp.cli.main import main as main
