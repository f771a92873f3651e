"""``bigan data check`` and ``bigan train --exclude``: a folder that is not clean."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.config.schema import DataConfig, RunConfig
from bigan_cli.data.exclude import read_exclusions
from bigan_cli.data.prepare import open_dataset, prepare
from bigan_cli.errors import DataError, UsageError
from bigan_cli.plugins import load_registry
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.data_check import DataCheck, check_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 14 pictures of a disc, a copy, a smaller one, a broken file and pure noise."""
    root, rng = tmp_path_factory.mktemp("dirty"), np.random.default_rng(0)
    y, x = np.mgrid[:64, :80]
    for number in range(14):
        image = 100 + 60.0 * ((y - 32) ** 2 + (x - 40 + rng.normal()) ** 2 < 400)
        image = (image + rng.normal(size=(64, 80)) * 8).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).convert("RGB").save(root / f"{number:02}.png")
    (root / "more").mkdir()
    (root / "more" / "copy.png").write_bytes((root / "03.png").read_bytes())
    with Image.open(root / "05.png") as image:
        image.resize((40, 32)).save(root / "small.png")
        image.save(root / "near.jpg", quality=95)
    (root / "unreadable.png").write_bytes(b"no image")
    noise = rng.integers(0, 255, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "noise.png")
    return root


@pytest.fixture(scope="module")
def checked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataCheck, Path]:
    output = tmp_path_factory.mktemp("check")
    return check_folder(folder, output, Callbacks()), output


def test_what_is_wrong_is_found(checked):
    images = {image.path: image for image in checked[0].images}
    assert images["unreadable.png"].issue.startswith("unreadable")
    assert (images["more/copy.png"].issue, images["more/copy.png"].like) == ("copy", "03.png")
    assert "32x40 pixels" in images["small.png"].issue
    assert (images["near.jpg"].issue, images["near.jpg"].like) == ("nearly a copy", "05.png")
    odd = {"unreadable.png", "near.jpg", "more/copy.png", "small.png", "noise.png"}
    assert {image.path for image in checked[0].issues} <= odd


def test_the_strangest_image_is_the_first_that_can_be_read(checked):
    readable = [image for image in checked[0].images if image.strangeness is not None]
    assert {readable[0].path, readable[1].path} == {"noise.png", "small.png"}
    assert readable[0].strangeness > 1.5


def test_the_table_and_the_picture_are_written(checked, folder):
    _, output = checked
    rows = _rows(output)
    assert len(rows) == 19
    assert not any(row["exclude"] for row in rows)
    with Image.open(output / "strangest.png") as sheet:
        assert sheet.width > 100


def _rows(output: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((output / "images.csv").read_text(encoding="utf-8").splitlines()))


def _prepared(folder: Path, exclude: Path):
    data = DataConfig(dataset="folder", root=folder, exclude=exclude, image_size=16)
    return prepare(open_dataset(load_registry(), data), RunConfig(data=data))


def test_ticked_rows_are_left_out(checked, folder, tmp_path):
    rows = _rows(checked[1])
    ticked = {"unreadable.png", "noise.png", "more/copy.png"}
    table = tmp_path / "images.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(row | {"exclude": "x" * (row["path"] in ticked)} for row in rows)
    data = _prepared(folder, table)
    names = {*data.train.names, *data.validation.names, *data.calibration.names}
    assert len(names) == 16
    assert not names & ticked
    assert "3 images excluded" in data.notes[0]
    assert data.config.data.exclude == table.absolute()


def test_a_list_of_paths_is_left_out_however_they_are_written(folder, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text(f"# not these\nunreadable.png\n\n{folder / 'noise.png'}\nno-such.png\n")
    data = _prepared(folder, listed)
    assert len(data.train) + len(data.validation) + len(data.calibration) == 17
    assert any("no-such.png" in warning for warning in data.warnings)


def test_a_list_that_fits_nothing_is_refused(folder, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("other/a.png\n")
    with pytest.raises(DataError, match="names no image"):
        _prepared(folder, listed)
    with pytest.raises(UsageError, match="no such file"):
        _prepared(folder, tmp_path / "missing.csv")


def test_a_table_without_the_column_exclude_lists_what_to_leave_out(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("path,why\na.png,blurred\n")
    assert read_exclusions(table) == ("a.png",)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="0 images that can be read"):
        check_folder(tmp_path, None, Callbacks())


def test_the_output_is_not_among_the_images(folder: Path) -> None:
    for output in (folder, folder / "more"):
        with pytest.raises(UsageError, match="is inside"):
            check_folder(folder, output, Callbacks())
    assert not (folder / "strangest.png").exists()


def test_marks_are_kept_when_a_folder_is_checked_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png"):
        path = tmp_path / "good" / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)).save(path)
    output = tmp_path / "check"
    check_folder(path.parent, output, Callbacks())
    table = output / "images.csv"
    # As a spreadsheet program of many countries saves it.
    lines = table.read_text().replace(",", ";").splitlines()
    marked = [line.replace("b.png;", "b.png;x") for line in lines]
    table.write_text("\ufeff" + "\r\n".join(marked), encoding="utf-8")
    assert read_exclusions(table) == ("b.png",)
    check_folder(path.parent, output, Callbacks())
    assert read_exclusions(table) == ("b.png",)


@pytest.mark.parametrize("name", ["images.csv", "strangest.png"])
def test_files_of_others_are_not_replaced(tmp_path: Path, folder: Path, name: str) -> None:
    (tmp_path / name).write_text("path,price\nmine,3\n")
    with pytest.raises(UsageError, match="not replaced"):
        check_folder(folder, tmp_path, Callbacks())
    assert "mine" in (tmp_path / name).read_text()


def test_a_folder_that_cannot_be_listed_has_a_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    found = check_folder(folder, None, Callbacks())
    (row,) = [image for image in found.images if image.path == "more"]
    assert "cannot list this folder: permission denied" in row.issue
