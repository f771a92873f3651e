"""The cache folder of this user."""

from __future__ import annotations

from pathlib import Path


def cache_root() -> Path:
    """Return the cache folder of this user: its files can be created or downloaded again."""
    from platformdirs import user_cache_path

    return user_cache_path("bigan", appauthor=False)
