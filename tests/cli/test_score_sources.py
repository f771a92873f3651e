"""``bigan score`` on archives, lists and object stores gives the rows of the files themselves."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from bigan_cli.locations.location import locate, read_location


def scores_of(text: str) -> dict[str, list[str]]:
    """Return file name -> score, p-value and components of each row."""
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows)
    assert header[0] == "path"
    return {row[0].partition("::")[0].rpartition("/")[2]: row[1:] for row in rows}


@pytest.fixture
def score(bigan, trained):
    """Run ``bigan score`` on the trained run, on CPU."""
    return lambda *words: bigan("score", "--run", trained, "--device", "cpu", *words)


@pytest.fixture
def few(pictures, tmp_path) -> list[Path]:
    """Return 20 pictures, and one file that is none."""
    damaged = tmp_path / "damaged.png"
    damaged.write_text("no picture")
    return [*sorted(pictures.glob("*.png"))[:20], damaged]


def write_tar(path: Path, images: list[Path]) -> Path:
    with tarfile.open(path, "w") as tar:
        for image in images:
            tar.add(image, image.name)
    return path


def write_zip(path: Path, images: list[Path]) -> Path:
    with zipfile.ZipFile(path, "w") as files:
        for image in images:
            files.write(image, image.name)
    return path


def test_archives_and_lists_give_the_rows_of_their_files(score, few, tmp_path) -> None:
    wanted = score(*few)
    assert wanted.code == 4
    listing = tmp_path / "list.csv"
    listing.write_text("path\n" + "".join(f"{image}\n" for image in few))
    for given in (
        write_tar(tmp_path / "a.tar", few),
        write_zip(tmp_path / "a.zip", few),
        listing,
    ):
        done = score(given)
        assert done.code == 4
        assert scores_of(done.out) == scores_of(wanted.out)


def test_maps_of_archived_images_are_in_folders_named_after_the_archive(
    score, few, tmp_path
) -> None:
    members = [write_tar(tmp_path / "a.tar", few[:2])]
    with tarfile.open(tmp_path / "escaping.tar", "w") as tar:
        tar.add(few[0], "../../up.png")
    maps = tmp_path / "maps"
    done = score(*members, tmp_path / "escaping.tar", "--maps", maps)
    assert done.code == 0
    written = [path.relative_to(maps) for path in sorted(maps.rglob("*.png"))]
    assert [path.name for path in written] == [
        *(f"{each.name}.png" for each in few[:2]),
        "up.png.png",
    ]
    assert all(path.parts[0] == "elsewhere" for path in written)
    assert written[0].parent.name == "a.tar"


def test_an_archive_without_images_is_an_error(score, tmp_path) -> None:
    done = score(write_tar(tmp_path / "a.tar", []))
    assert done.code == 1
    assert "no images" in done.err


@pytest.fixture
def object_store(s3_server) -> str:
    """Return the URL of a bucket."""
    import s3fs

    s3fs.S3FileSystem().mkdir("bigan-tests")
    return "s3://bigan-tests"


@pytest.mark.slow
def test_an_object_store_serves_images_lists_and_archives_and_takes_the_output(
    score, few, tmp_path, object_store
) -> None:
    import s3fs

    store = s3fs.S3FileSystem()
    for image in few:
        store.put_file(str(image), f"bigan-tests/in/{image.name}")
    listing = "path\n" + "".join(f"in/{image.name}\n" for image in few)
    store.pipe_file("bigan-tests/list.csv", listing.encode())
    store.put_file(str(write_tar(tmp_path / "a.tar", few)), "bigan-tests/shards/a.tar")
    store.put_file(str(write_zip(tmp_path / "a.zip", few)), "bigan-tests/a.zip")
    wanted = scores_of(score(*few).out)
    for given in ("in", "in/", "list.csv", "shards/a.tar", "shards/*.tar", "a.zip"):
        done = score(f"{object_store}/{given}")
        assert done.code == 4, done.err
        assert scores_of(done.out) == wanted
    output = f"{object_store}/out/scores.csv"
    done = score(f"{object_store}/in", "--output", output)
    assert done.code == 4
    assert done.out.strip() == output
    stored = read_location(locate(output), 2**20).decode()
    assert scores_of(stored) == wanted


def test_a_home_folder_in_an_output_is_found(score, pictures, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert score(pictures, "--output=~/scores.csv").code == 0
    assert (tmp_path / "scores.csv").exists()
    assert not (tmp_path / "~").exists()
