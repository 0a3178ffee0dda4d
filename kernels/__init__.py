"""CUDA kernels, each beside its NumPy reference, and the fatbin that they are compiled to ahead of time."""
