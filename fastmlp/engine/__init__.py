"""The native engine: compiled kernels, how a batch is split, threads, and its rows."""
