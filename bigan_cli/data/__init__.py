"""Layer 3: from a dataset's items to the uint8 images of a run's splits."""
