"""Animations as GIF, WebP or MP4 files, and stills of their last frame.

GIF has a time unit of 10 ms. The end of each frame is rounded to it, not its duration, so that
errors do not accumulate.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bigan_cli.atomic import atomic_write
from bigan_cli.errors import UsageError, did_you_mean
from bigan_cli.report.palette import shared_palette

SLOWEST, FASTEST = 0.01, 50.0
"""Frames per second. A GIF frame can last at most 11 minutes, and most viewers slow down faster
ones.
"""

LAST_FRAME_HELD = 1.0
"""Additional seconds for the last frame."""


class Frames(Protocol):
    """Frames of one size, drawn on access."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every frame in pixels."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[NDArray[np.uint8]]: ...
    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return the frame at *index*, uint8 ``[H, W, 3]``."""
        ...


def check_request(path: Path, fps: float) -> None:
    """Raise the errors of invalid arguments of :func:`save_animation` in advance.

    Raises:
        UsageError: The suffix is not known, or nothing installed can write it, or *fps* is out
            of range.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise UsageError(
            f"cannot write '{path.name}': an animation ends in {known}",
            did_you_mean(suffix, list(_WRITERS)) or "the suffix of the output selects the format",
        )
    if suffix == ".mp4" and not _ffmpeg():
        raise UsageError(
            "cannot write .mp4: there is no ffmpeg",
            "install ffmpeg, or pip install imageio-ffmpeg, or write .gif or .webp",
        )
    if not SLOWEST <= fps <= FASTEST:
        raise UsageError(f"'fps={fps:g}' is out of range", f"it is from {SLOWEST:g} to {FASTEST:g}")


def save_animation(path: Path, film: Frames, fps: float = 2.0) -> float:
    """Write *film* to *path* atomically, as an endless loop.

    Args:
        path: The suffix picks the format: .gif (one palette of at most 255 colours for all
            frames), .webp (lossless) or .mp4 (H.264; no loop).
        film: The frames.
        fps: Frames per second, :data:`SLOWEST` to :data:`FASTEST`.

    Returns:
        The duration in seconds.

    Raises:
        UsageError: As :func:`check_request`, or the frames are larger than the format allows.
        UnreadableImage: A picture cannot be read.
    """
    check_request(path, fps)
    suffix = path.suffix.lower()
    largest = _LARGEST_SIDE[suffix]
    if max(film.size) > largest:
        raise UsageError(
            f"the frames would be {film.size[1]}x{film.size[0]} pixels; "
            f"{suffix} allows {largest} a side",
            "choose a smaller 'scale=FACTOR'",
        )
    if film.size[0] * film.size[1] > _LARGEST_AREA:
        raise UsageError(
            f"the frames would be {film.size[1]}x{film.size[0]} pixels, more than memory holds",
            "choose a smaller 'scale=FACTOR'",
        )
    with atomic_write(path) as stream:
        return _WRITERS[suffix](cast("BinaryIO", stream), film, fps)


def save_still(path: Path, film: Frames) -> None:
    """Write the last frame of *film* to the PNG file *path*, atomically.

    Raises:
        UsageError: *path* has another suffix.
    """
    check_still(path)
    with atomic_write(path) as stream:
        Image.fromarray(film.frame(len(film) - 1)).save(stream, format="PNG", optimize=True)


def check_still(path: Path) -> None:
    """Raise UsageError if :func:`save_still` cannot write *path*."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"cannot write '{path.name}': a still ends in .png")


def _ffmpeg() -> str:
    """Return the path of ffmpeg: that of the system, or of imageio-ffmpeg; empty if none."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # the package has no program for this platform
        return ""


def _durations(count: int, fps: float, tick: float) -> list[int]:
    """Return the duration of each of *count* frames, in ticks of *tick* seconds."""
    ends = [i / fps for i in range(count)] + [count / fps + LAST_FRAME_HELD]
    rounded = [round(end / tick) for end in ends]
    return [max(1, later - earlier) for earlier, later in pairwise(rounded)]


def _write_gif(stream: BinaryIO, film: Frames, fps: float) -> float:
    # Pillow directly, since imageio takes arrays of colours only and would choose a palette for
    # each frame.
    palette = shared_palette(film)

    def drawn(index: int) -> Image.Image:
        frame = Image.fromarray(palette.index(film.frame(index)))
        frame.putpalette(palette.colours.tobytes())
        return frame

    milliseconds = [10 * ticks for ticks in _durations(len(film), fps, 0.01)]
    drawn(0).save(
        stream,
        format="GIF",
        save_all=True,
        append_images=(drawn(index) for index in range(1, len(film))),
        palette=palette.colours.tobytes(),
        duration=milliseconds if len(film) > 1 else milliseconds[0],
        loop=0,
        # Unchanged pixels are stored as transparent, which compresses well.
        optimize=True,
        disposal=1,
    )
    return sum(milliseconds) / 1000


def _write_webp(stream: BinaryIO, film: Frames, fps: float) -> float:
    import imageio.v3 as imageio

    milliseconds = _durations(len(film), fps, 0.001)
    options: dict[str, Any] = {
        "lossless": True,
        # Here the effort: less doubles the size, more takes longer without benefit.
        "quality": 60,
        "method": 1,
        "duration": milliseconds,
        "loop": 0,
    }
    with imageio.imopen(stream, "w", plugin="pillow", extension=".webp") as file:
        for frame in film:
            file.write(frame, **options)
    return sum(milliseconds) / 1000


def _write_mp4(stream: BinaryIO, film: Frames, fps: float) -> float:
    held = ceil(LAST_FRAME_HELD * fps)
    # H.264 stores colour at half the resolution, so both sides must be even.
    padding = ((0, film.size[1] % 2), (0, film.size[0] % 2), (0, 0))
    height, width = (side + side % 2 for side in reversed(film.size))
    # ffmpeg goes back in the file, so that players need not read all of it before they start.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "film.mp4")
        command = [
            *(_ffmpeg(), "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"),
            *("-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-", "-an"),
            *("-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p"),
            *("-movflags", "+faststart", str(file)),
        ]
        process = subprocess.Popen(  # noqa: S603  a program of the system, by its path
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin is not None  # noqa: S101  as it is a pipe
        try:
            for index in [*range(len(film)), *[len(film) - 1] * held]:
                process.stdin.write(np.pad(film.frame(index), padding, mode="edge").tobytes())
        except BrokenPipeError:  # it has stopped, and says why
            pass
        except BaseException:
            process.kill()
            raise
        _, message = process.communicate()
        if process.returncode:
            reason = message.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
            raise UsageError(f"ffmpeg cannot write .mp4: {reason[-1]}", "write .gif or .webp")
        with file.open("rb") as written:
            shutil.copyfileobj(written, stream)
    return (len(film) + held) / fps


_WRITERS: dict[str, Callable[[BinaryIO, Frames, float], float]] = {
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".mp4": _write_mp4,
}
_LARGEST_AREA = 50_000_000
_LARGEST_SIDE = {".gif": 65535, ".webp": 16383, ".mp4": 16384}
