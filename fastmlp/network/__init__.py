"""Network: layer widths, functions, and one flat parameter vector."""

from fastmlp.network.network import Network as Network
