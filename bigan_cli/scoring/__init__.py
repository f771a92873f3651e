"""Layer 5: score components, their combination, calibration and metrics."""
