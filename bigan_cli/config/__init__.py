"""The configuration of a run, and its sources: defaults, presets, files, arguments."""
