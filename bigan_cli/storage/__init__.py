"""Files on disk: the run directory, the model file, the benchmark directory, score tables."""
