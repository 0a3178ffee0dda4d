"""What real clips say: quality metrics, classical baselines, value ranges."""
