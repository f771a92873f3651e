"""Hostile image files: one row each, no traceback, nothing else on the screen, bounded memory.

Files of every format are cut, their bits flipped, their headers claim huge sizes; among them are
named pipes, folders, links, empty files, texts, and files that vanish while they are scored.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import random
import shutil
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import commands
import damage
import sweep

_TOGETHER = 40
_TIMEOUT = 120
_LONGEST_REASON = 400
_KEPT = 10**7  # bytes of a file that is kept to be looked at
_FORMATS = {
    "png": ({}, ("L", "RGB", "RGBA", "P", "1", "I;16", "LA")),
    "jpg": ({"quality": 80}, ("L", "RGB", "CMYK")),
    "tif": ({}, ("L", "RGB", "RGBA", "P", "1", "I;16", "F")),
    "tiff": ({"compression": "tiff_lzw"}, ("L", "RGB")),
    "bmp": ({}, ("L", "RGB", "P", "1")),
    "gif": ({}, ("L", "P")),
    "webp": ({}, ("RGB", "RGBA")),
    "jp2": ({}, ("L", "RGB")),
    "ppm": ({}, ("L", "RGB")),
    "tga": ({}, ("L", "RGB", "RGBA")),
    "ico": ({}, ("RGBA",)),
    "pcx": ({}, ("L", "RGB")),
}
_LINE_STARTS = (
    "warning: ",
    "prepared for the model: ",
    "a p-value of ",
    "error: ",
    "hint: ",
    "scored ",
    "loading ",
)


def main(words: list[str] | None = None) -> int:
    """Run the sweep."""
    options = sweep.arguments(__doc__, 2000).parse_args(words)
    started, tally = time.monotonic(), sweep.Tally("hostile images")
    with sweep.scratch() as folder:
        commands.warm_up()
        run = sweep.train_small(folder / "run")
        batch: list[tuple[str, Path]] = []
        images = folder / "images"
        for number, rng in sweep.cases(options):
            images.mkdir(exist_ok=True)
            kind = _make(images, number, rng)
            batch.append(kind)
            if len(batch) == _TOGETHER or number == options.count - 1:
                _score(run, images, batch, tally)
                batch = []
                shutil.rmtree(images)
        if batch:
            _score(run, images, batch, tally)
    return tally.report(options, started)


def _score(run: Path, images: Path, batch: list[tuple[str, Path]], tally: sweep.Tally) -> None:
    """Score a batch of files, named one by one, and look at their rows."""
    names = "".join(f"{path}\n" for _, path in batch).encode()
    before = _remover([path for kind, path in batch if kind == "vanishes"])
    done = commands.bigan("score", "-", "--run", run, stdin=names, timeout=_TIMEOUT, before=before)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    problem = done.problem(allowed=(0, 1, 4)) if len(done.err) < commands.SCREEN else ""
    if not problem and [row["path"] for row in rows] == [str(path) for _, path in batch]:
        _count_rows(batch, rows, tally)
        said = [line for line in done.err.splitlines() if not line.startswith(_LINE_STARTS)]
        if said:
            text = "\n".join(said)[:1000]
            tally.add("any", "other messages on the screen", text, fault=True)
    elif len(batch) > 1:  # find the one
        for case in batch:
            if case[0] != "vanishes":
                _score(run, images, [case], tally)
    else:
        kind, path = batch[0]
        small = path.is_file() and path.stat().st_size < _KEPT
        kept = shutil.copy(path, "/tmp") if small else path
        what = problem or f"{len(rows)} rows"
        tally.add(kind, what, f"{kept}: {done.err[-500:]}", fault=True)


def _count_rows(
    batch: list[tuple[str, Path]], rows: list[dict[str, str]], tally: sweep.Tally
) -> None:
    for (kind, path), row in zip(batch, rows, strict=True):
        scored, reason = bool(row["score"]), row["error"]
        if scored == bool(reason) or len(reason) > _LONGEST_REASON:
            tally.add(kind, "neither a score nor one short reason", f"{path}: {row}", fault=True)
        else:
            tally.add(kind, "scored" if scored else "a reason")


def _remover(paths: list[Path]) -> Callable[[], None]:
    """Return a function that starts to remove *paths* one after another."""

    def remove() -> None:
        for path in paths:
            time.sleep(0.02)
            with contextlib.suppress(OSError):
                path.unlink()

    return lambda: threading.Thread(target=remove, daemon=True).start()


def _make(folder: Path, number: int, rng: random.Random) -> tuple[str, Path]:
    share = rng.random()
    if share < 0.75:
        return _damaged_image(folder, number, rng)
    makers = _BOMBS if share < 0.87 else _OTHERS
    name = rng.choice(sorted(makers))
    path = folder / f"{number:05d}.{rng.choice(('png', 'tif', 'jpg', 'gif', 'bmp'))}"
    return name, makers[name](path, rng) or path


def _damaged_image(folder: Path, number: int, rng: random.Random) -> tuple[str, Path]:
    suffix = rng.choice(sorted(_FORMATS))
    data = _image(suffix, rng)
    changed = damage.damaged(data, rng, end=rng.choice((64, 512, len(data))))
    if rng.random() < 0.1:  # of another format than the name says
        suffix = rng.choice(sorted(_FORMATS))
    path = folder / f"{number:05d}.{suffix}"
    path.write_bytes(changed)
    return suffix, path


def _image(suffix: str, rng: random.Random) -> bytes:
    import numpy as np
    from PIL import Image

    options, modes = _FORMATS[suffix]
    mode = rng.choice(modes)
    height, width = rng.randrange(1, 60), rng.randrange(1, 60)
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (height, width, 4))
    grey = pixels[..., 0].astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(grey.astype(np.float32))
    elif mode in ("L", "1", "P"):
        image = Image.fromarray(grey).convert(mode)
    else:
        image = Image.fromarray(pixels.astype(np.uint8), "RGBA").convert(mode)
    stream = io.BytesIO()
    format_ = Image.registered_extensions()[f".{suffix}"]
    image.save(stream, format_, **options)
    return stream.getvalue()


# Files that are larger than they look


def _png(width: int, height: int, data: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _claims_much(path: Path, rng: random.Random) -> Path:
    side = rng.choice((20_000, 60_000, 2**31 - 1))
    data = zlib.compress(bytes(1000))
    _write(path, _png(side, rng.choice((1, side)), data), ".png")
    return path.with_suffix(".png")


def _holds_much(path: Path, rng: random.Random) -> Path:
    side = rng.choice((6_000, 9_000, 13_300))
    channels = rng.choice((1, 3, 4))
    colour = {1: 0, 3: 2, 4: 6}[channels]
    packer = zlib.compressobj(1)
    row = bytes(1 + side * channels)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    _write(path, _png(side, side, data, colour=colour), ".png")
    return path.with_suffix(".png")


def _text_bomb(path: Path, rng: random.Random) -> Path:
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("x", "x" * rng.choice((10**6, 5 * 10**7)), zip=True)
    Image.new("L", (8, 8)).save(path.with_suffix(".png"), pnginfo=info)
    return path.with_suffix(".png")


def _loop_of_pages(path: Path, _rng: random.Random) -> Path:
    """Write a TIFF whose page is followed by itself."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "TIFF")
    data = bytearray(stream.getvalue())
    at = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[at : at + 2])[0]
    after = at + 2 + 12 * count
    data[after : after + 4] = struct.pack("<I", at)
    _write(path, bytes(data), ".tif")
    return path.with_suffix(".tif")


def _many_frames(path: Path, rng: random.Random) -> Path:
    from PIL import Image

    frames = [Image.new("L", (8, 8), number % 256) for number in range(rng.choice((2, 300)))]
    frames[0].save(path.with_suffix(".gif"), save_all=True, append_images=frames[1:])
    return path.with_suffix(".gif")


def _bomb_of_tags(path: Path, rng: random.Random) -> Path:
    """Write a TIFF whose tags point beyond its end, or claim billions of values."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "TIFF")
    data = bytearray(stream.getvalue())
    at = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[at : at + 2])[0]
    tag = at + 2 + 12 * rng.randrange(count)
    data[tag + 4 : tag + 8] = struct.pack("<I", rng.choice((2**31, 2**32 - 1, 10**6)))
    _write(path, bytes(data), ".tif")
    return path.with_suffix(".tif")


def _write(path: Path, data: bytes, suffix: str) -> None:
    path.with_suffix(suffix).write_bytes(data)


_BOMBS: dict[str, Callable[[Path, random.Random], Path | None]] = {
    "claims many pixels": _claims_much,
    "holds many pixels": _holds_much,
    "long text": _text_bomb,
    "page after itself": _loop_of_pages,
    "many frames": _many_frames,
    "tags beyond the end": _bomb_of_tags,
}


# What is no image file


def _socket(path: Path, _rng: random.Random) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        short = Path("/tmp") / f"bigan-{os.getpid()}-{path.name}"
        server.bind(str(short))
        short.rename(path)


def _vanishing(path: Path, rng: random.Random) -> Path:
    path.with_suffix(".png").write_bytes(_image("png", rng))
    return path.with_suffix(".png")


def _hard_name(path: Path, rng: random.Random) -> Path:
    name = rng.choice(("=1+1", "a,b", 'a"b', "\x1b[31mred", "a" * 200, " ", "-x", "é", "@SUM(A1)"))
    path = path.with_name(f"{name}{path.stem}.png")
    path.write_bytes(_image("png", rng))
    return path


_OTHERS: dict[str, Callable[[Path, random.Random], Path | None]] = {
    "pipe": lambda path, _rng: os.mkfifo(path),
    "socket": _socket,
    "folder": lambda path, _rng: (path / "x").mkdir(parents=True) or _folder_row(path),
    "link to nothing": lambda path, _rng: path.symlink_to("nowhere"),
    "link to itself": lambda path, _rng: path.symlink_to(path.name),
    "link to a device": lambda path, rng: path.symlink_to(rng.choice(("/dev/zero", "/dev/tty"))),
    "empty": lambda path, _rng: path.touch(),
    "text": lambda path, _rng: path.write_text("not an image\n" * 100) and None,
    "random bytes": lambda path, rng: path.write_bytes(rng.randbytes(5000)) and None,
    "sparse": lambda path, _rng: _sparse(path),
    "missing": lambda path, _rng: path,
    "vanishes": _vanishing,
    "hard name": _hard_name,
}


def _folder_row(path: Path) -> Path:
    """Return the name of a file below the folder *path*, which is a folder, too."""
    return path / "x" / "missing.png"


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**11)


if __name__ == "__main__":
    sys.exit(main())
