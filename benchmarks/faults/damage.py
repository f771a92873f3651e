"""Random damage to the bytes of a file, and to the values of a JSON document."""

from __future__ import annotations

import random


def damaged(data: bytes, rng: random.Random, start: int = 0, end: int | None = None) -> bytes:
    """Return *data* with random damage that begins between *start* and *end*.

    Flipped bits, a cut, zeros to the end, random bytes, or bytes that are missing or too many.
    """
    bits = bytearray(data)
    at = rng.randrange(start, min(end or len(data), len(data)) or 1)
    stop = min(len(data), at + rng.choice((1, 8, 64, 4096)))
    match rng.randrange(6):
        case 0:
            for _ in range(rng.choice((1, 1, 3))):
                bits[rng.randrange(at, max(stop, at + 1))] ^= 1 << rng.randrange(8)
        case 1:
            del bits[at:]
        case 2:
            bits[at:] = bytes(len(bits) - at)
        case 3:
            bits[at:stop] = rng.randbytes(stop - at)
        case 4:
            del bits[at:stop]
        case _:
            bits[at:at] = rng.randbytes(stop - at)
    return bytes(bits)


STRANGE: tuple[object, ...] = (
    None, True, False, -1, 0, 1, 2**63, 10**30, -0.5, 1e308, float("nan"), float("inf"), "", "x",
    "\x00", "../../x", "x" * 100_000, [], [0], {}, {"x": 1}, [[[[1]]]], ["x"] * 1000,
)  # fmt: skip
"""Values of every type, some huge, to put in place of any value."""


def change_value(document: object, rng: random.Random) -> tuple[object, ...]:
    """Change or remove a value at a random place of a JSON document; return its keys."""
    keys: list[object] = []
    while isinstance(document, dict | list) and document:
        key = rng.choice(list(document) if isinstance(document, dict) else range(len(document)))
        keys.append(key)
        inner = document[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
            if rng.random() < 0.15:
                del document[key]
            else:
                document[key] = rng.choice(STRANGE)
            break
        document = inner
    return tuple(keys)
