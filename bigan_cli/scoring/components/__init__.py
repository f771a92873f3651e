"""The built-in score components, each module a plugin like third-party ones."""
