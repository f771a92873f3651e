"""The built-in architectures; each module is a plugin like third-party ones."""
