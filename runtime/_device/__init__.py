"""Behind runtime/device.py: the host and CUDA, each with its streams, events and buffers."""
