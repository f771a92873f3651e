"""What a user wants done, without a terminal: plain arguments and callbacks in, results out."""
