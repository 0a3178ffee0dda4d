"""A bundle and the classical baselines against the truth, on clips under holes."""
