"""Watching a folder: finding complete files, and what is done with the flagged ones."""
