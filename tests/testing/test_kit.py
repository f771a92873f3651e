"""The kit finds what is wrong, in words, and one defect does not hide another."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import Dataset, ImageShape, Items, Options, ScoreComponent
from bigan_cli.errors import DataError, UsageError
from bigan_cli.plugins import load_registry
from bigan_cli.testing import (
    ContractViolation,
    architecture_checks,
    assert_conforms,
    dataset_checks,
    run,
    score_component_checks,
)


def statuses(checks):
    # Whether a module imports late is tried in a process of its own, and not of these.
    return {result.name: result for result in run(c for c in checks if c.name != "imports_late")}


def broken(checks):
    return {r.name: r.detail for r in statuses(checks).values() if r.status == "failed"}


class Frogs(Dataset):
    """Keeps its contract; the ones below break it in one place each."""

    name = "frogs"
    summary = "frogs"
    image_shape = ImageShape(1, 8, 8)
    class_names = ("green", "brown")
    preset: ClassVar = {"model": {"architecture": "features"}}  # for which few images are enough

    def train_items(self):
        return self.items(0)

    def test_items(self):
        return self.items(1)

    def items(self, seed):
        grey = np.random.default_rng(seed).integers(0, 256, (80, 8, 8), dtype=np.uint8)
        return Items(grey, np.arange(80) % 2)


class Loose(Options):
    model_config: ClassVar = {**Options.model_config, "extra": "allow"}
    zoom: int = 1


class Unrepeatable(Frogs):
    def items(self, seed):
        return super().items(None)


class FarLabels(Frogs):
    def items(self, seed):
        items = super().items(seed)
        return Items(items.images, items.labels + 1)


class FewImages(Frogs):
    def items(self, seed):
        items = super().items(seed)
        return Items(items.images[:70], items.labels)


class Floats(Frogs):
    def items(self, seed):
        items = super().items(seed)
        return Items(items.images / 255, items.labels)


class OtherShape(Frogs):
    image_shape = ImageShape(3, 8, 8)


class NoTraining(Frogs):
    def train_items(self):
        return Items([], [])


class Greedy(Frogs):
    image_shape = None

    def items(self, seed):
        return Items([np.zeros((1200, 1200), np.uint8)] * 80, np.arange(80) % 2)


class SameTwice(Frogs):
    def items(self, seed):
        return super().items(0)


class Traceback(Frogs):
    def train_items(self):
        return open(self.location.root / "labels.csv").read()  # noqa: PTH123


class Writes(Frogs):
    def __init__(self, options, location):
        super().__init__(options, location)
        location.root.mkdir(parents=True)


class OddNormals(Frogs):
    def normal_classes(self):
        return (2,)


class Mute(Frogs):
    Options = Loose


class BadPreset(Frogs):
    preset: ClassVar = {"train": {"epochs": "many"}}


class TwoOfOneName(Frogs):
    def items(self, seed):
        items = super().items(seed)
        return Items(items.images, items.labels, names=["a", "b"] * 40)


class TooFew(Frogs):
    def items(self, seed):
        items = super().items(seed)
        return Items(items.images[:16], items.labels[:16])


class Tiny(Frogs):
    image_shape = ImageShape(1, 4, 4)

    def items(self, seed):
        items = super().items(seed)
        return Items(items.images[:, :4, :4], items.labels)


class Rows(Sequence):
    """Images in a database, to be read in the thread that opened it."""

    def __init__(self, grey):
        self.database = sqlite3.connect(":memory:")
        self.database.execute("create table images (pixels blob)")
        self.database.executemany("insert into images values (?)", [(g.tobytes(),) for g in grey])
        self.count = len(grey)

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if not 0 <= i < self.count:
            raise IndexError(i)
        query = "select pixels from images where rowid = ?"
        (row,) = self.database.execute(query, (int(i) + 1,)).fetchall()
        return np.frombuffer(row[0], np.uint8).reshape(8, 8)


class InADatabase(Frogs):
    def items(self, seed):
        items = super().items(seed)
        return Items(Rows(items.images), items.labels)


class AnyName(Frogs):
    name = "Frogs!"


DATASETS = {
    Unrepeatable: ("is_deterministic", "image 0 differs"),
    FarLabels: ("labels_are_classes", "the labels of the train split are 1 to 2 for 2 classes"),
    FewImages: ("fields_agree", "the train split has 70 images for 80 labels"),
    Floats: ("fields_agree", "the images of the train split are float64, not uint8"),
    OtherShape: ("declared_shape_is_true", "image_shape is 3x8x8, but image 0 of the train split"),
    NoTraining: ("has_images_to_train_on", "train_items() is empty"),
    Greedy: ("is_lazy", "holds 80 decoded images in a list, 109 MiB"),
    SameTwice: ("splits_are_apart", "80 of 80 test images are in the train split too"),
    Traceback: ("missing_files_are_reported", "FileNotFoundError"),
    Writes: ("constructor_opens_nothing", "the constructor wrote missing into the data folder"),
    OddNormals: ("classes_are_named", "normal_classes() returned (2,)"),
    Mute: ("options_are_described", "without a description: zoom"),
    BadPreset: ("preset_is_valid", "train.epochs"),
    TwoOfOneName: ("fields_agree", "78 names of the train split are repeated"),
    TooFew: ("a_run_can_be_split", "too few normal images to train on: 8 of green"),
    Tiny: ("images_are_large_enough", "image 0 of the train split is 4x4 pixels, fewer than 8"),
    InADatabase: ("images_come_from_any_thread", "ProgrammingError: SQLite objects created in"),
    AnyName: ("is_accepted", "AnyName.name must be lower-case letters"),
}


@pytest.mark.parametrize("cls", DATASETS, ids=lambda cls: cls.__name__)
def test_a_data_set_that_breaks_its_contract_is_found_out(cls, tmp_path):
    check, words = DATASETS[cls]
    root = tmp_path / "made" if cls is Writes else tmp_path
    found = broken(dataset_checks(cls, root=root))
    assert words in found[check]


def test_options_that_take_anything_are_found_out(tmp_path):
    assert (
        "a misspelt option would go unnoticed"
        in (broken(dataset_checks(Mute, root=tmp_path))["options_are_strict"])
    )


def test_a_data_set_that_keeps_its_contract(tmp_path):
    assert broken(dataset_checks(Frogs, root=tmp_path)) == {}
    assert_conforms(dataset_checks(Frogs, root=tmp_path))


def test_all_that_is_broken_is_told_in_one_error(tmp_path):
    with pytest.raises(AssertionError) as caught:
        assert_conforms(dataset_checks(OtherShape, {"pond": 1}, root=tmp_path))
    assert "options_survive_saving: the options {'pond': 1} are refused: pond: " in str(
        caught.value
    )


class Few(Frogs):
    preset: ClassVar = {}


class Files(Frogs):
    """Paths, of every mode there is."""

    image_shape = None

    def items(self, seed):
        paths = sorted(self.location.root.glob("*.png"))
        if not paths:
            raise DataError(f"no images in {self.location.root}")
        return Items(paths, np.arange(len(paths)) % 2)

    def test_items(self):
        return Items([], [])


def write_modes(folder):
    for i, mode in enumerate(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"] * 10):
        Image.new(mode, (9 + i, 12)).save(folder / f"{i:02}.png")


def test_images_too_few_for_the_threshold_are_found_out(tmp_path):
    found = broken(dataset_checks(Few, root=tmp_path))
    assert "needs at least 19 calibration images" in found["a_run_can_be_split"]


def test_files_of_every_mode_are_read(tmp_path):
    write_modes(tmp_path)
    found = statuses(dataset_checks(Files, root=tmp_path))
    assert found["images_can_be_read"].detail == "12 images checked"
    assert {r.status for r in found.values()} == {"passed"}


def test_a_file_that_is_no_image_is_found_out(tmp_path):
    write_modes(tmp_path)
    (tmp_path / "00.png").write_text("not a picture")
    found = broken(dataset_checks(Files, root=tmp_path))
    assert "00.png: not an image in a known format" in found["images_can_be_read"]


def test_where_the_data_are_not_here_there_is_nothing_to_look_at():
    found = statuses(dataset_checks(load_registry().dataset("folder")))
    assert found["fields_agree"].status == "skipped"
    assert "--data-root" in found["fields_agree"].detail
    assert found["is_accepted"].status == "passed"


def test_a_folder_that_was_named_must_hold_the_data(tmp_path):
    found = statuses(dataset_checks(Files, root=tmp_path))
    of_data = [r for r in found.values() if r.status == "failed"]
    assert len(of_data) == 1  # reported once
    assert "no images in" in of_data[0].detail


# Architectures

SHAPES = (ImageShape(1, 8, 8), ImageShape(3, 9, 14))


def dcgan_with(change):
    """Return dcgan with its networks handed through *change*."""
    base = load_registry().architecture("dcgan")

    class Changed(base):
        name = "changed"

        def build(self, image_shape, latent_dim):
            return change(*super().build(image_shape, latent_dim), image_shape)

    return Changed


def checks_of(change):
    narrow = {"feature_maps_gen": 4, "feature_maps_disc": 4}
    return architecture_checks(dcgan_with(change), narrow, SHAPES)


def ill_shaped(e, g, d, shape):
    import torch

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = d

        def forward(self, x, z):
            logits, features = self.inner(x, z)
            return logits[:, None], features

    return e, g, Flat()


def out_of_range(e, g, d, shape):
    class Loud(type(g)):
        def forward(self, z):
            return super().forward(z) * 3

    g.__class__ = Loud
    return e, g, d


def looks_across(e, g, d, shape):
    class Across(type(e)):
        def forward(self, x):
            z = super().forward(x)
            return z - z.mean(dim=0)

    e.__class__ = Across
    return e, g, d


def never_calm(e, g, d, shape):
    import torch

    class Dropping(type(d)):
        def forward(self, x, z):
            logits, features = super().forward(x, z)
            return torch.nn.functional.dropout(logits), features

    d.__class__ = Dropping
    return e, g, d


def tampering(e, g, d, shape):

    class InPlace(type(d)):
        def forward(self, x, z):
            self.image_features(x).mul_(2)
            return super().forward(x, z)

    d.__class__ = InPlace
    return e, g, d


def forgetful(e, g, d, shape):
    import torch

    class Shifted(type(e)):
        def forward(self, x):
            return super().forward(x) + self.secret

    e.__class__ = Shifted
    e.secret = torch.randn(())  # no buffer: it is not saved
    return e, g, d


def idle(e, g, d, shape):
    import torch

    e.unused = torch.nn.Linear(2, 2)
    return e, g, d


def self_seeded(e, g, d, shape):
    import torch

    torch.manual_seed(3)
    for weight in e.parameters():
        torch.nn.init.normal_(weight, std=0.02) if weight.ndim > 1 else None
    return e, g, d


def two(e, g, d, shape):
    return e, g


def crashing(e, g, d, shape):
    raise RuntimeError("no such size")


ARCHITECTURES = {
    ill_shaped: ("outputs_have_their_shapes", "logit for images 1x8x8 in eval() has shape (3, 1)"),
    out_of_range: ("outputs_have_their_shapes", "the generator leaves [-1, 1]"),
    looks_across: ("eval_is_independent_of_the_batch", "encoder's output of an image 1x8x8"),
    never_calm: ("eval_is_repeatable", "discriminator's logit differs from call to call"),
    tampering: ("features_are_not_modified", "the result of image_features(x) is modified"),
    forgetful: ("weights_survive_saving", "not in its state_dict()"),
    idle: ("gradients_are_finite", "no gradient reaches encoder.unused.weight"),
    self_seeded: ("the_seed_decides_the_weights", "encoder's weights are the same for two seeds"),
    two: ("builds", "not (encoder, generator, discriminator)"),
    crashing: ("builds", "raises RuntimeError: no such size; raise a bigan_cli.errors.UsageError"),
}


@pytest.mark.parametrize("change", ARCHITECTURES, ids=lambda change: change.__name__)
def test_an_architecture_that_breaks_its_contract_is_found_out(change):
    check, words = ARCHITECTURES[change]
    assert words in broken(checks_of(change))[check]


def test_sizes_may_be_refused_but_not_all():
    def only_grey(e, g, d, shape):
        if shape.channels != 1:
            raise UsageError("only grey images are supported")
        return e, g, d

    found = statuses(checks_of(only_grey))
    assert found["builds"].status == "passed"
    assert found["builds"].detail == (
        "1 shapes of 2; refuses 3x9x14: only grey images are supported"
    )
    narrow = {"feature_maps_gen": 4, "feature_maps_disc": 4}
    none_left = architecture_checks(dcgan_with(only_grey), narrow, SHAPES[1:])
    assert "it supports none of 3x9x14" in broken(none_left)["builds"]


# Score components


class Plain(ScoreComponent):
    name = "plain"
    summary = "plain"

    def score(self, outputs, fitted):
        return (outputs.x - outputs.reconstruction).abs().mean(dim=(1, 2, 3))


class Ranked(Plain):
    def score(self, outputs, fitted):
        return super().score(outputs, fitted).argsort().argsort().float()


class Infinite(Plain):
    def score(self, outputs, fitted):
        return 1 / outputs.x.std(dim=(1, 2, 3))


class PerPixel(Plain):
    def score(self, outputs, fitted):
        return (outputs.x - outputs.reconstruction).abs()


class Random(Plain):
    def score(self, outputs, fitted):
        import torch

        return super().score(outputs, fitted) + torch.rand(len(outputs.x))


class InPlace(Plain):
    def score(self, outputs, fitted):
        return outputs.x.sub_(outputs.reconstruction).abs().mean(dim=(1, 2, 3))


class Careless(Plain):
    def embed(self, outputs):
        return outputs.z

    def fit(self, embedded, generator):
        import torch

        return {"bank": embedded[torch.randperm(len(embedded))[:5]]}


class Overflowing(Plain):
    def embed(self, outputs):
        return 1 / (outputs.z - outputs.z)


class Hungry(Careless):
    def fit(self, embedded, generator):
        return {"bank": embedded.topk(20, dim=0).values}


class SecretlyFeatured(Plain):
    def score(self, outputs, fitted):
        return outputs.image_features.mean(dim=1)


class SmallMap(Plain):
    def heatmap(self, outputs, fitted):
        return outputs.x.mean(dim=1)[:, ::2, ::2]


class FlatMap(Plain):
    def heatmap(self, outputs, fitted):
        return outputs.x.mean(dim=1).flatten(1)


class Constant(Plain):
    def score(self, outputs, fitted):
        return 0 * outputs.z[:, 0]


class OneThread(Plain):
    def __init__(self, options):
        super().__init__(options)
        self.stored = sqlite3.connect(":memory:")

    def score(self, outputs, fitted):
        self.stored.execute("select 1")
        return super().score(outputs, fitted)


class Boundless(Plain):
    def fit_limit(self):
        return 0


class PixelsOnly(Plain):
    def score(self, outputs, fitted):
        return outputs.z.norm(dim=1)


class Negative(Plain):
    weight = -1


COMPONENTS = {
    Ranked: ("scores_are_independent_of_the_batch", "alone differs by"),
    Infinite: ("scores_are_finite_floats", "inf"),
    PerPixel: ("scores_are_finite_floats", "returns (5, 1, 8, 8), expected (5,)"),
    Random: ("scores_are_repeatable", "differ from call to call"),
    InPlace: ("inputs_are_not_modified", "it modifies x of the batch"),
    Careless: ("fitted_tensors_can_be_saved", "take random numbers from the generator"),
    Overflowing: ("embeds_each_image", "is not finite"),
    Hungry: ("few_images_are_enough", "RuntimeError"),
    SecretlyFeatured: ("needs_are_declared", "no image features"),
    FlatMap: ("heatmaps_fit_the_images", "gives (5, 64), not (5, h, w)"),
    Constant: ("scores_differ", "every image gets the score"),
    OneThread: ("scores_are_the_same_in_any_thread", "ProgrammingError"),
    Boundless: ("fit_limit_is_valid", "fit_limit() returned 0"),
    PixelsOnly: ("works_on_feature_maps", "set needs_pixels = True"),
    Negative: ("is_accepted", "Negative.weight must be a number of 0 or more"),
}


@pytest.mark.parametrize("cls", COMPONENTS, ids=lambda cls: cls.__name__)
def test_a_score_component_that_breaks_its_contract_is_found_out(cls):
    check, words = COMPONENTS[cls]
    assert words in broken(score_component_checks(cls))[check]


@pytest.mark.parametrize("cls", [Plain, SmallMap])
def test_a_score_component_that_keeps_its_contract(cls):
    assert broken(score_component_checks(cls)) == {}


# As tests of an author

AUTHOR = """
from bigan_cli.contracts import Dataset
from bigan_cli.testing import DatasetConformance
from frogs import Frogs

class Broken(Frogs):
    class_names = ("green",)

class TestFrogs(DatasetConformance):
    dataset = Frogs

class TestBroken(DatasetConformance):
    dataset = Broken
"""


def test_pytest_runs_each_check_as_a_test(tmp_path):
    frogs = Path(__file__).parents[1] / "plugins" / "frogs.py"
    (tmp_path / "frogs.py").write_text(frogs.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_frogs.py").write_text(AUTHOR, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    failed = {line.split(" - ")[0] for line in done.stdout.splitlines() if line[:6] == "FAILED"}
    labels = "test_frogs.py::TestBroken::test_conforms[labels_are_classes]"
    assert f"FAILED {labels}" in failed, done.stdout
    # The frogs of our tests are few, and the same in both splits.
    assert {line for line in failed if "TestFrogs" in line} == {
        "FAILED test_frogs.py::TestFrogs::test_conforms[splits_are_apart]",
        "FAILED test_frogs.py::TestFrogs::test_conforms[a_run_can_be_split]",
    }
    assert (
        "ContractViolation: the labels of the train split are 0 to 1 for 1 classes" in done.stdout
    )


def test_neither_pytest_nor_torch_is_needed_to_import_it():
    code = (
        "import sys, bigan_cli.testing as t; from bigan_cli.plugins import load_registry;"
        "t.run(t.dataset_checks(load_registry().dataset('mnist')));"
        "print([m for m in ('pytest', 'torch', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_violation_is_an_assertion_error():
    assert issubclass(ContractViolation, AssertionError)
