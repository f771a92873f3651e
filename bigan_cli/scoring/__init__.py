"""Score components, their standardisation and combination, and calibration."""
