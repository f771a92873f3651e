"""The HTTP service: a queue for each model, the application around them, and its server."""
