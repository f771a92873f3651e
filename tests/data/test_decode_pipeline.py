"""Images stream in order, decoded ahead but not far, and nothing bad stops the stream."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode_pipeline import decode_ahead
from bigan_cli.data.sources.find import find_inputs
from bigan_cli.data.sources.image_source import Failed
from bigan_cli.data.sources.piped_paths import paths_from

SHAPE = ImageShape(1, 8, 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(25):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    (tmp_path / "7.png").write_bytes(b"not a picture")
    return tmp_path


def test_batches_keep_the_order_and_tell_of_what_is_unreadable(folder: Path) -> None:
    inputs = [folder / f"{i}.png" for i in range(26)]
    batches = list(decode_ahead(inputs, SHAPE, 4, workers=3))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 4, 2]
    flat = [read for batch in batches for read in batch]
    assert [read.source for read in flat] == inputs
    for i, read in enumerate(flat):
        if i in (7, 25):
            assert read.pixels is None
            assert read.error
        else:
            assert read.pixels is not None
            assert (read.pixels == i).all()
            assert read.found is not None
            assert not read.error
    assert flat[25].error == "no such file"


def test_only_a_few_batches_are_decoded_ahead(folder: Path) -> None:
    pulled = 0

    def endless() -> Iterator[Path]:
        nonlocal pulled
        while True:
            pulled += 1
            yield folder / "1.png"

    batches = decode_ahead(endless(), SHAPE, 10, workers=2)
    for taken in range(1, 4):
        next(batches)
        time.sleep(0.05)
        assert pulled <= 10 * (taken + 2 + 2) + 1  # a batch for each worker, and two more
    batches.close()
    time.sleep(0.05)
    before = pulled
    time.sleep(0.05)
    assert pulled == before


def test_stopping_early_ends_all_threads_but_one_that_waits(folder: Path) -> None:
    before = set(threading.enumerate())
    batches = decode_ahead([folder / "1.png"] * 1000, SHAPE, 2, workers=2)
    next(batches)
    batches.close()
    time.sleep(0.05)
    assert set(threading.enumerate()) <= before


def test_an_input_that_stalls_does_not_hold_back_what_is_there(folder: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, os.fsencode(f"{folder / '1.png'}\n{folder / '2.png'}\n"))
    batches = decode_ahead(paths_from(reading), SHAPE, 64, flush_after=0.05)
    assert [read.source.name for read in next(batches)] == ["1.png", "2.png"]
    os.write(writing, os.fsencode(f"{folder / '3.png'}"))
    os.close(writing)
    assert [read.source.name for read in next(batches)] == ["3.png"]
    assert list(batches) == []
    os.close(reading)


def test_an_error_of_the_inputs_comes_in_its_turn(folder: Path) -> None:
    def broken() -> Iterator[Path]:
        yield folder / "1.png"
        yield folder / "2.png"
        raise RuntimeError("gone")

    batches = decode_ahead(broken(), SHAPE, 1)
    assert next(batches)[0].source.name == "1.png"
    assert next(batches)[0].source.name == "2.png"
    with pytest.raises(RuntimeError, match="gone"):
        next(batches)


@pytest.mark.parametrize("started", [0, 1, 5])
def test_threads_that_cannot_be_started_are_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    real_submit, calls = ThreadPoolExecutor.submit, iter(range(100))

    def submit(*args: Any) -> Any:
        if next(calls) >= started:
            raise RuntimeError("can't start new thread")
        return real_submit(*args)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    inputs = [folder / f"{i}.png" for i in range(6)]
    with pytest.raises(RuntimeError, match="new thread"):
        list(decode_ahead(inputs, SHAPE, 4, workers=2))


def test_no_inputs_no_batches() -> None:
    assert list(decode_ahead([], SHAPE, 4)) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "cannot list this folder: permission denied"),
        (FileNotFoundError(2, "No such file or directory"), "no such folder"),
    ],
)
def test_a_subfolder_that_cannot_be_listed_is_one_input_among_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    # No folder is closed to the user these tests may run as, so listing it is made to fail.
    for name in ("a", "b", "c"):
        (folder / "sub" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(folder / "sub" / name / "1.png")
    scandir = os.scandir

    def fail_for_b(path: Path) -> Any:
        if Path(path).name == "b":
            raise error
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail_for_b)
    (batch,) = decode_ahead(find_inputs([folder / "sub", folder / "3.png"]), SHAPE, 8)
    assert [(Path(read.name).name, read.error) for read in batch] == [
        ("1.png", ""),
        ("b", reason),
        ("1.png", ""),
        ("3.png", ""),
    ]


def test_a_listing_that_breaks_off_keeps_what_it_gave(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    @contextmanager
    def broken(path: Path) -> Iterator[Any]:
        def entries() -> Iterator[Any]:
            with scandir(path) as listing:
                yield from islice(listing, 20)
            raise OSError(5, "Input/output error")

        yield entries()

    monkeypatch.setattr(os, "scandir", broken)
    found = list(find_inputs([folder]))
    assert len(found) == 21
    assert isinstance(found[-1], Failed)
    assert found[-1].reason == "cannot list this folder: input/output error"


def test_a_name_too_long_to_be_a_file_is_one_input_among_others(folder: Path) -> None:
    names = [folder / "3.png", folder / ("x" * 5000), folder / "4.png"]
    (batch,) = decode_ahead(find_inputs(names), SHAPE, 4)
    assert [bool(read.error) for read in batch] == [False, True, False]
    assert "name too long" in batch[1].error


def test_colour_and_size_as_found(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "rgb.jpg")
    Image.new("RGBA", (8, 8)).save(tmp_path / "rgba.png")
    (batch,) = decode_ahead([tmp_path / "rgb.jpg", tmp_path / "rgba.png"], SHAPE, 4)
    found = [read.found for read in batch]
    assert found[0] is not None
    assert found[1] is not None
    assert (found[0].channels, found[0].height, found[0].width) == (3, 10, 20)
    assert found[1].channels == 4
    assert all(read.pixels is not None and read.pixels.dtype == np.uint8 for read in batch)
