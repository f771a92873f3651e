"""The built-in score components, each module a plugin like a stranger's."""
