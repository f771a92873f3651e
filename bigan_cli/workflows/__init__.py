"""The tasks of users, without a terminal: plain arguments and callbacks in, results out."""
