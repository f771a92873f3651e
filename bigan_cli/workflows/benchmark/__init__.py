"""Train and evaluate over datasets, classes, seeds, presets and variants."""
