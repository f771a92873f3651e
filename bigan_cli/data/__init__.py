"""Layer 3: from a data set's items to the uint8 images of a run's splits."""
