"""Layer 2: the built-in architectures, each module a plugin like third-party ones."""
