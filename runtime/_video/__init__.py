"""Behind runtime/video.py: reading, decoding, encoding and writing; PyAV is used here and nowhere else."""
