"""Layer 4: networks, losses, weight averaging and the training loop; no files, no printing."""
