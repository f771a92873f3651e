"""The built-in datasets; each module is a plugin like third-party ones."""
