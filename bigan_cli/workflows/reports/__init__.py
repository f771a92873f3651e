"""Gathers what a report shows: scored images, pictures of them, and how the run was trained."""
