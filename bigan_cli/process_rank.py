"""Which of several processes this is, as ``torchrun`` and other launchers set it."""

from __future__ import annotations

import os


def rank_and_size() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many there are; (0, 1) for one alone.

    They are ``RANK`` and ``WORLD_SIZE`` of the environment.
    """
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not rank.isdecimal() or not size.isdecimal() or not int(rank) < int(size):
        return 0, 1
    return int(rank), int(size)


def can_communicate() -> bool:
    """Return whether the environment says where several processes find each other."""
    found = all(os.environ.get(name) for name in ("MASTER_ADDR", "MASTER_PORT"))
    return found and rank_and_size()[1] > 1
