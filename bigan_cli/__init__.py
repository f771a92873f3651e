"""Anomaly detection in images with a Bidirectional GAN, from the command line."""

__version__ = "0.1.0"
