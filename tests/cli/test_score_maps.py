"""``bigan score --maps`` and ``--masks``: where each image is anomalous."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from bigan_cli.cli.main import main
from bigan_cli.report.heatmap import LEVELS_PER_UNIT
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.score import score_files
from bigan_cli.workflows.scorer import ScorerSettings

# Left, top, right and bottom of a spot, in a corner that digits leave black.
SPOT = (0, 4, 10, 20)


@pytest.fixture(scope="module")
def locating(tmp_path_factory):
    """Return a run that has learned enough to miss nothing where digits are always black."""
    folder = tmp_path_factory.mktemp("locating") / "run"
    words = ["--epochs", "10", "--lr", "0.004", "--latent-dim", "8", "--device", "cpu"]
    words += ["--feature-maps-gen", "4", "--feature-maps-disc", "4", "--save-interval", "10"]
    assert main(["train", "--outlier", "8", *words, "--save-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def locate(bigan, locating):
    """Run ``bigan score`` on that run, on CPU."""
    return lambda *words: bigan("score", "--run", locating, "--device", "cpu", *words)


@pytest.fixture
def score(bigan, trained):
    """Run ``bigan score`` on the trained run, which finds less."""
    return lambda *words: bigan("score", "--run", trained, "--device", "cpu", *words)


@pytest.fixture
def photos(pictures, tmp_path):
    """Return a folder with 12 enlarged digits, 12 with a spot in a subfolder, and a damaged one."""
    folder = tmp_path / "photos"
    (folder / "spot s").mkdir(parents=True)
    for i, path in enumerate(sorted(pictures.glob("*.png"))[:24]):
        with Image.open(path) as image:
            picture = image.resize((40, 32))
        if i % 2:
            picture.paste(255, SPOT)
        picture.save(folder / ("spot s" if i % 2 else "") / f"{i:02d}.png")
    (folder / "damaged.png").write_bytes((folder / "00.png").read_bytes()[:60])
    return folder


def rows_by_name(out, folder):
    rows = map(json.loads, out.splitlines())
    return {row["path"].removeprefix(f"{folder}/"): row for row in rows}


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_each_readable_image_gets_a_map_of_its_size_at_its_place(score, photos, tmp_path):
    maps, masks = tmp_path / "maps", tmp_path / "masks"
    words = ("--fpr", "0.2", "--json", "--maps", maps, "--map-format", "npy", "--masks", masks)
    done = score(photos, *words)
    assert done.code == 4  # one is damaged
    rows = rows_by_name(done.out, photos)
    names = sorted(name for name in rows if name != "damaged.png")
    assert len(names) == 24
    assert "spot s/01.png" in names
    assert files_below(maps) == [f"{name}.npy" for name in names]
    assert files_below(masks) == [f"{name}.png" for name in names]
    assert rows["damaged.png"]["regions"] is None
    for name in names:
        heat = np.load(maps / f"{name}.npy")
        assert (heat.dtype, heat.shape) == (np.float32, (32, 40))
        with Image.open(masks / f"{name}.png") as image:
            mask = np.asarray(image)
        assert ((mask == 255) == (heat > 1)).all()
        found = rows[name]["regions"]
        assert sum(region["area"] for region in found) == (mask == 255).sum()
        for region in found:
            box = heat[region["top"] :, region["left"] :][: region["height"], : region["width"]]
            assert box.max() == pytest.approx(region["peak"])


@pytest.mark.slow
def test_a_defect_is_found_where_it_is(locate, photos):
    rows = rows_by_name(locate(photos / "spot s", "--fpr", "0.2", "--json").out, photos)
    assert len(rows) == 12
    left, top, right, bottom = SPOT
    found = [
        region["left"] < right
        and region["left"] + region["width"] > left
        and region["top"] < bottom
        and region["top"] + region["height"] > top
        for row in rows.values()
        for region in row["regions"][:1]
    ]
    assert sum(found) >= 10


@pytest.mark.slow
def test_normal_images_stay_dark(locate, photos, tmp_path):
    done = locate(*photos.glob("[0-9]*.png"), "--json", "--maps", tmp_path / "maps")
    rows = rows_by_name(done.out, photos)
    assert len(rows) == 12
    calm = [name for name, row in rows.items() if not row["regions"]]
    assert len(calm) >= 10
    for name in calm:
        with Image.open(photos / name) as image, Image.open(tmp_path / f"maps/{name}.png") as drawn:
            change = np.abs(np.asarray(drawn).astype(int) - np.asarray(image.convert("RGB")))
        assert drawn.size == (40, 32)
        assert change.mean() < 10
        assert (change.max(axis=2) < 5).mean() > 0.8


def test_16_bit_files_hold_the_values_of_the_arrays(score, photos, tmp_path):
    one = photos / "spot s" / "01.png"
    assert score(one, "--maps", tmp_path / "a", "--map-format", "npy").code == 0
    assert score(one, "--maps", tmp_path / "b", "--map-format", "png16").code == 0
    heat = np.load(tmp_path / "a/01.png.npy")
    with Image.open(tmp_path / "b/01.png.png") as image:
        levels = np.asarray(image)
    assert (levels == np.rint(heat.clip(0) * LEVELS_PER_UNIT)).all()


@pytest.mark.slow
def test_the_csv_counts_the_regions(locate, photos):
    text = locate(photos / "spot s/01.png", "--fpr", "0.2").out
    header, row = text.splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    found = json.loads(locate(photos / "spot s/01.png", "--fpr", "0.2", "--json").out)["regions"]
    assert int(cells["regions"]) == len(found) >= 1


def test_images_of_one_stem_and_of_several_folders_do_not_collide(score, photos, tmp_path):
    with Image.open(photos / "00.png") as image:
        image.save(photos / "00.jpg")
    other = tmp_path / "other" / "spot s"
    shutil.copytree(photos / "spot s", other)
    done = score(photos, other, "--maps", tmp_path / "maps")
    assert done.code == 4
    written = files_below(tmp_path / "maps")
    assert len(written) == 25 + 12
    assert {"photos/00.png.png", "photos/00.jpg.png", "other/spot s/01.png.png"} <= set(written)


def test_a_stopped_run_is_continued_with_its_maps(score, trained, photos, tmp_path):
    output, maps = tmp_path / "out.csv", tmp_path / "maps"
    images = sorted(photos.glob("[0-9]*.png"))
    stopped = score_files(
        images,
        run=trained,
        settings=ScorerSettings(device="cpu", batch_size=2),
        output=output,
        maps=maps,
        callbacks=Callbacks(should_stop=lambda: True),
    )
    assert stopped.status == "interrupted"
    assert 0 < stopped.scored < len(images)
    assert len(files_below(maps)) >= stopped.scored
    done = score(*images, "--output", output, "--resume")
    assert done.code == 2
    assert "wrote other maps or masks" in done.err
    done = score(*images, "--output", output, "--resume", "--maps", maps)
    assert done.code == 0
    assert f"({stopped.scored} before)" in done.err
    assert files_below(maps) == [f"{path.name}.png" for path in images]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--map-format", "npy"], "without a folder for maps"),
        (["--maps", "M", "--map-format", "tiff"], "no map format tiff"),
        (["--maps", "M", "--masks", "M"], "the same folder"),
        (["--maps", "photos/maps"], "is inside the input folder"),
    ],
)
def test_arguments_that_contradict_each_other(score, photos, monkeypatch, words, message):
    monkeypatch.chdir(photos.parent)
    done = score("photos", *words)
    assert done.code == 2
    assert message in done.err
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos"]
