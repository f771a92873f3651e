"""Layer 8: one small file per command."""
