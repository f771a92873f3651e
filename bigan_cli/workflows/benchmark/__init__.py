"""Train and evaluate over datasets, classes and seeds."""
