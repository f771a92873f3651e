"""From a dataset's items to the uint8 images of a run's splits."""
