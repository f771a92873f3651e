"""A list of paths that arrives through a pipe comes back as it was given."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.data.sources.piped_paths import paths_from
from bigan_cli.errors import DataError

names = st.lists(st.binary(min_size=1, max_size=20), max_size=20)


@given(names, st.sampled_from([b"\n", b"\0"]))
def test_a_list_of_names_comes_back_as_it_was_given(entries: list[bytes], separator: bytes) -> None:
    entries = [e for e in entries if separator not in e and not e.endswith(b"\r")]
    reading, writing = os.pipe()
    os.write(writing, separator.join(entries))
    os.close(writing)
    try:
        got = list(paths_from(reading, separator))
    finally:
        os.close(reading)
    assert got == [Path(os.fsdecode(entry)) for entry in entries]


@pytest.mark.parametrize("whole", [True, False])
def test_a_byte_order_mark_is_no_part_of_the_first_name(whole: bool) -> None:
    reading, writing = os.pipe()
    content = b"\xef\xbb\xbfa.png\nb.png\n"
    os.write(writing, content if whole else content[:2])
    paths = paths_from(reading)
    if not whole:
        threading.Timer(0.05, lambda: (os.write(writing, content[2:]), os.close(writing))).start()
    else:
        os.close(writing)
    assert list(paths) == [Path("a.png"), Path("b.png")]
    os.close(reading)


def test_a_list_in_utf_16_is_refused() -> None:
    reading, writing = os.pipe()
    os.write(writing, "a.png\r\n".encode("utf-16"))
    os.close(writing)
    with pytest.raises(DataError, match="UTF-16"):
        list(paths_from(reading))
    os.close(reading)


def test_a_list_made_on_windows_has_no_carriage_returns() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a.png\r\n\r\nb.png\r\n")
    os.close(writing)
    assert list(paths_from(reading)) == [Path("a.png"), Path("b.png")]
    os.close(reading)
