"""Behind runtime/composite.py: weights, layers and the samples that are written back, on the host and on a device."""
