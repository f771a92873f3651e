"""Layer 2: the built-in data sets, each module a plugin like a stranger's."""
