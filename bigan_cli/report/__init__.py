"""Figures, image grids, heatmaps and animations; no torch."""
