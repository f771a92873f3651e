"""One self-contained HTML page about a run and its test images, or about scored images."""
