"""Layer 2: the built-in datasets, each module a plugin like third-party ones."""
