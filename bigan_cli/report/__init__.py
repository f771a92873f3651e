"""Layer 7: figures and animations from the contents of a run directory; no torch."""
