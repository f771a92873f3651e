"""Networks, losses, weight averaging and the training loop; no files, no printing."""
