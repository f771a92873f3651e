"""Metrics, baselines and the evaluation of a detector: arrays in, arrays out."""
