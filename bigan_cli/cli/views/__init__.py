"""How results and progress are shown on a terminal."""
