"""Paths with braces and wildcards name files, each once and in natural order."""

from __future__ import annotations

from pathlib import Path

import pytest

from bigan_cli.locations.patterns import expand_braces, matching_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("10.tar", "2.tar", "1.tar", "notes.txt"):
        (tmp_path / name).touch()
    return tmp_path


def test_braces_are_ranges_and_choices_and_nothing_else() -> None:
    assert expand_braces("a{08..11}.tar") == ["a08.tar", "a09.tar", "a10.tar", "a11.tar"]
    assert expand_braces("{a,b}{0..1}") == ["a0", "a1", "b0", "b1"]
    assert expand_braces("{a}/{}/x") == ["{a}/{}/x"]


@pytest.mark.parametrize("pattern", ["", "*.tar", "{1,2,*}.tar", "[0-9]*.tar"])
def test_files_are_in_natural_order(folder: Path, pattern: str) -> None:
    found = matching_files(str(folder / pattern), "*.tar")
    assert found == [folder / name for name in ("1.tar", "2.tar", "10.tar")]


def test_a_file_of_two_patterns_is_named_once(folder: Path) -> None:
    assert matching_files(f"{folder}/{{2,*}}.tar", "*.tar")[0] == folder / "2.tar"
    assert len(matching_files(f"{folder}/{{2,*}}.tar", "*.tar")) == 3


def test_a_missing_file_is_named_all_the_same(folder: Path) -> None:
    """Whoever reads it reports it, with its name."""
    assert matching_files(str(folder / "3.tar"), "*.tar") == [folder / "3.tar"]
    assert matching_files(str(folder / "x*.tar"), "*.tar") == []
