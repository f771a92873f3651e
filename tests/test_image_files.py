from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.errors import DataError
from bigan_cli.image_files import IMAGE_SUFFIXES, _sortable, find_images, natural_key, subfolders


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root: Path, recursive: bool = True) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_images([root], recursive)]


def test_folder_is_walked_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "img10.png", "img2.PNG", "a/9.jpg", "a/10.jpg", "b.tiff", "Img1.webp")
    assert found(tmp_path) == [
        "a/9.jpg",
        "a/10.jpg",
        "b.tiff",
        "Img1.webp",
        "img2.PNG",
        "img10.png",
    ]
    assert found(tmp_path, recursive=False) == ["b.tiff", "Img1.webp", "img2.PNG", "img10.png"]


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, ".x.png", ".git/x.png", "notes.txt", "Thumbs.db", "png", "x.png.bak", "ok.gif")
    assert found(tmp_path) == ["ok.gif"]


def test_the_pictures_of_a_run_are_no_images_of_the_folder_it_lies_in(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "good/b.png")
    for run in ("run", "good/run"):
        touch(tmp_path, f"{run}/run.json", f"{run}/models/best.safetensors", f"{run}/true/1.png")
    assert found(tmp_path) == ["a.png", "good/b.png"] or found(tmp_path) == ["good/b.png", "a.png"]
    assert subfolders(tmp_path) == [tmp_path / "good"]
    assert found(tmp_path / "run") == ["true/1.png"]  # asked for


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_known_suffix_is_found(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"x{suffix}", f"y{suffix.upper()}")
    assert len(found(tmp_path)) == 2


def test_given_file_stands_for_itself_whatever_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "scan.dat", "folder/.hidden.png")
    given_paths = [tmp_path / "scan.dat", tmp_path / "missing", tmp_path / "folder/.hidden.png"]
    assert list(find_images(given_paths)) == given_paths


def test_order_of_the_given_paths_is_kept(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.png", "a/1.png")
    paths = find_images([tmp_path / "b", tmp_path / "a"])
    assert [path.parent.name for path in paths] == ["b", "a"]


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "data/1.png", "elsewhere/2.png")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "self.png").symlink_to(tmp_path / "data" / "self.png")
    names = [path.name for path in find_images([tmp_path / "data"])]
    assert sorted(names) == ["1.png", "2.png", "self.png"]


def test_nothing_is_listed_before_it_is_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    images: Iterator[Path] = find_images([tmp_path])
    assert next(images).parent.name == "a"
    touch(tmp_path, "b/2.png")
    assert [path.name for path in images] == ["1.png", "2.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root lists all")
def test_forbidden_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(DataError, match="permission denied"):
        found(tmp_path)


def test_listing_a_missing_folder_or_a_file_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "x.png")
    with pytest.raises(DataError, match="no such folder"):
        subfolders(tmp_path / "nothing")
    with pytest.raises(DataError, match="is a file"):
        subfolders(tmp_path / "x.png")


@given(st.lists(st.text(), max_size=8))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural_key)) == sorted(names)
    backwards = list(reversed(names))
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_in_names_sort_as_numbers(a: int, b: int) -> None:
    assert (natural_key(f"x{a}y") < natural_key(f"x{b}y")) == (a < b)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
lists = st.lists(st.one_of(texts, st.from_regex(r"\A[aB0-3]{0,6}\Z")), max_size=12, unique=True)


@given(lists)
def test_the_strings_kept_of_a_folder_sort_as_the_natural_keys(names: list[str]) -> None:
    kept = sorted(map(_sortable, names))
    assert [key.rpartition("\0")[2] for key in kept] == sorted(names, key=natural_key)
