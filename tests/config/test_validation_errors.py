"""Every wrong configuration is explained: where, which key, what is allowed, what was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigan_cli.config.load import load_config
from bigan_cli.config.reference import toml_value
from bigan_cli.errors import BiganError, ConfigError

RunFile = Callable[[str], Path]
Problems = Callable[..., list[tuple[str, str]]]

NEIGHBOURS = "score.options.latent_neighbours"
KEYS_OF_DCGAN = (
    "feature_maps_gen, feature_maps_disc, dropout_rate, output, spectral_norm, initialisation"
)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[train]\nepoch = 5", "unknown key 'epoch' in [train]", "did you mean 'epochs'?"),
        (
            "[train]\nbatch-size = 5",
            "unknown key 'batch-size' in [train]",
            "did you mean 'batch_size'?",
        ),
        ("epochs = 5", "unknown key 'epochs'", "did you mean 'epochs' in [train]?"),
        ("[trian]\nlr = 0.1", "unknown table [trian]", "did you mean 'train'?"),
        ("[trian]", "unknown key 'trian'", "did you mean 'train'?"),
        ("[output]\nlr = 0.1", "unknown key 'lr' in [output]", "did you mean 'lr' in [train]?"),
        (
            "[output]\nqqq = 1",
            "unknown key 'qqq' in [output]",
            (
                "[output] takes save_dir, save_interval, keep_models, trackers, tracker_options, "
                "preview_images"
            ),
        ),
        (
            "qqq = 1",
            "unknown key 'qqq'",
            "a config file takes schema, plugins, data, model, train, score, output",
        ),
        (
            "[train]\nlr = 'fast'",
            'train.lr must be a number more than 0 and less than 1, got "fast"',
            "",
        ),
        (
            "[data]\nroot = ''",
            "data.root is an empty path",
            "leave it out, or write . for this folder",
        ),
        (
            "[output]\nsave_dir = ''",
            "output.save_dir is an empty path",
            "leave it out, or write . for this folder",
        ),
        ("[train]\nlr = 1.0", "train.lr must be a number more than 0 and less than 1, got 1.0", ""),
        (
            "[train]\nepochs = '5'",
            'train.epochs must be a whole number of 1 or more, got "5"',
            "write epochs = 5, without quotes",
        ),
        ("[train]\nepochs = 5.5", "train.epochs must be a whole number of 1 or more, got 5.5", ""),
        (
            "[train]\nepochs = true",
            "train.epochs must be a whole number of 1 or more, got true",
            "",
        ),
        ("[train]\nepochs = 0", "train.epochs must be a whole number of 1 or more, got 0", ""),
        ("[train]\nepochs = [5]", "train.epochs must be a whole number of 1 or more, got [5]", ""),
        (
            "[train]\nloss = 'hing'",
            'train.loss must be "hinge" or "logistic", got "hing"',
            "did you mean 'hinge'?",
        ),
        (
            "[train]\ndevice = 'gpu'",
            'train.device must be auto, cpu, cuda, cuda:N or mps, got "gpu"',
            "",
        ),
        ("[train]\nlr = nan", "train.lr must be a finite number, got nan", ""),
        ("[train]\nlr = inf", "train.lr must be a finite number, got inf", ""),
        (
            "[output]\nsave_dir = 1990-01-01",
            "output.save_dir cannot be a date or time, and it is 1990-01-01",
            "",
        ),
        (
            "[model]\nlatent_dim = 9999",
            "model.latent_dim must be a whole number from 1 to 4096, got 9999",
            "",
        ),
        (
            "[data]\ndownload = 'false'",
            'data.download must be true or false, got "false"',
            "write download = false, without quotes",
        ),
        (
            "[data]\ninput_channels = 2",
            "data.input_channels must be 1, 3 or 4, got 2",
            "",
        ),
        (
            "[data]\ninlier = 3",
            "data.inlier must be a list, each item a whole number or text, got 3",
            "write inlier = [3]",
        ),
        (
            "[data]\ninlier = 3.5",
            "data.inlier must be a list, each item a whole number or text, got 3.5",
            "",
        ),
        (
            "[data]\ninlier = true",
            "data.inlier must be a list, each item a whole number or text, got true",
            "",
        ),
        (
            "[score]\ncomponents = 'distortion'",
            'score.components must be a list, each item text, got "distortion"',
            'write components = ["distortion"]',
        ),
        (
            "[data]\ninlier = [1, 2.5, true]",
            "data.inlier must be a list, each item a whole number or text, got [1, 2.5, true]",
            "",
        ),
        (
            "[data]\noutlier_portion = 1.5",
            'data.outlier_portion must be a number more than 0 and less than 1 or "all", got 1.5',
            "",
        ),
        ("train = 5", "train must be a table, got 5", ""),
        ("[[train]]\nepochs = 1", 'train must be a table, got [{"epochs": 1}]', ""),
        ("schema = 2", "schema must be 1, got 2", ""),
        (
            "plugins = 'a.py'",
            'plugins must be a list, each item text, got "a.py"',
            'write plugins = ["a.py"]',
        ),
        (
            "[model.options]\nfeature_map_gen = 8",
            "unknown key 'feature_map_gen' in [model.options]",
            "did you mean 'feature_maps_gen'?",
        ),
        (
            "[model.options]\nqqq = 8",
            "unknown key 'qqq' in [model.options]",
            f"the architecture dcgan takes {KEYS_OF_DCGAN}",
        ),
        (
            "[model.options]\ndropout_rate = 1",
            "model.options.dropout_rate must be a number of 0 or more and less than 1, got 1",
            "",
        ),
        ("[model]\noptions = 3", "model.options must be a table, got 3", ""),
        (
            "[data]\ndataset = 'mnist'\n[data.options]\nsplit = 1",
            "unknown key 'split' in [data.options]",
            "the dataset mnist takes no options",
        ),
        (
            "[data]\ndataset = 'fashion-mnst'",
            "unknown dataset 'fashion-mnst'",
            "did you mean 'fashion_mnist'? 'bigan datasets' lists all 6",
        ),
        ("[data]\ndataset = 3", "data.dataset must be text, got 3", ""),
        (
            "[model]\narchitecture = 'dcgen'",
            "unknown architecture 'dcgen'",
            "did you mean 'dcgan'? 'bigan architectures' lists all 2",
        ),
        (
            "[score]\ncomponents = ['reconstuction']",
            "unknown score component 'reconstuction'",
            "did you mean 'reconstruction'? 'bigan components' lists all 19",
        ),
        (
            "[score]\ncomponents = ['reconstruction', 'Reconstruction']",
            "score.components lists 'reconstruction' twice",
            "",
        ),
        (
            "[score.weights]\nreconstuction = 1",
            "unknown score component 'reconstuction'",
            "did you mean 'reconstruction'? 'bigan components' lists all 19",
        ),
        (
            "[score.weights]\nreconstruction = 'x'",
            'score.weights.reconstruction must be a number of 0 or more, got "x"',
            "",
        ),
        (
            "[score.weights]\nreconstruction = -3",
            "score.weights.reconstruction must be a number of 0 or more, got -3",
            "",
        ),
        (
            "[score.weights]\nreconstruction = nan",
            "score.weights.reconstruction must be a finite number, got nan",
            "",
        ),
        (
            "[score]\ncomponents = 'reconstruction'",
            'score.components must be a list, each item text, got "reconstruction"',
            'write components = ["reconstruction"]',
        ),
        (
            "[score]\ncomponents = 3",
            "score.components must be a list, each item text, got 3",
            "",
        ),
        (
            "[score]\ncomponents = ['reconstruction']\n[score.weights]\ndiscriminator = 1",
            "score.weights.discriminator is of a component that score.components lacks",
            "",
        ),
        (
            "[score.options.latent_neighbours]\nn_neighbors = 0",
            f"{NEIGHBOURS}.n_neighbors must be a whole number from 1 to 1000, got 0",
            "",
        ),
        (
            "[score.options]\nlatent_neighbours = 3",
            "score.options.latent_neighbours must be a table, got 3",
            "",
        ),
    ],
)
def test_a_wrong_run_file(
    text: str, message: str, hint: str, run_file: RunFile, problems: Problems
) -> None:
    assert problems(file=run_file(text)) == [(f"run.toml: {message}", hint)]


@pytest.mark.parametrize("size", ["7", "[28]", "[28, 5]", '"28x28"', "[28, 28, 3]"])
def test_what_is_wrong_in_all_its_forms_is_told_in_one_sentence(
    size: str, run_file: RunFile, problems: Problems
) -> None:
    allowed = "a side or [height, width], each from 8 to 16384"
    assert problems(file=run_file(f"[data]\nimage_size = {size}")) == [
        (f"run.toml: data.image_size must be {allowed}, got {size}", "")
    ]


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ({"train.lr": 3.0}, "must be a number more than 0 and less than 1, got 3.0", ""),
        ({"train.epochs": 0}, "must be a whole number of 1 or more, got 0", ""),
        (
            {"data.image_size": "big"},
            'must be a side or [height, width], each from 8 to 16384, got "big"',
            "",
        ),
        (
            {"data.image_size": "4x4"},
            'must be a side or [height, width], each from 8 to 16384, got "4x4"',
            "",
        ),
        (
            {"data.outlier_portion": "most"},
            'must be a number more than 0 and less than 1 or "all", got "most"',
            "",
        ),
        ({"plugins": ["a\0b"]}, "holds a null character", ""),
        (
            {"data.root": Path("\udce9")},
            "holds characters that are not valid Unicode",
            "",
        ),
        ({"train.lr": float("nan")}, "must be a finite number, got nan", ""),
        (
            {"data.dataset": "fashion-mnst"},
            "unknown dataset 'fashion-mnst'",
            "did you mean 'fashion_mnist'? 'bigan datasets' lists all 6",
        ),
        (
            {"data.protocol": "leave-out"},
            'must be "auto", "one-class", "leave-one-out" or "folder", got "leave-out"',
            "did you mean 'leave-one-out'?",
        ),
    ],
)
def test_a_wrong_setting_is_named(
    flags: dict[str, Any], message: str, hint: str, problems: Problems
) -> None:
    subject = "" if message.startswith("unknown") else f"'{next(iter(flags))}' "
    assert problems(settings=flags) == [(f"{subject}{message}", hint)]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("epochs=5", "--set: unknown key 'epochs'", "did you mean 'epochs' in [train]?"),
        ("train.epochs", "--set train.epochs: not TABLE.KEY=VALUE", "as in --set train.epochs=5"),
        ("=5", "--set =5: not TABLE.KEY=VALUE", "as in --set train.epochs=5"),
        ("train.=5", "--set train.=5: not TABLE.KEY=VALUE", "as in --set train.epochs=5"),
        (
            "train.epochs=many",
            '--set: train.epochs must be a whole number of 1 or more, got "many"',
            "",
        ),
        ("train=5", "--set: train must be a table, got 5", ""),
        (
            "train.epochs.x=5",
            '--set: train.epochs must be a whole number of 1 or more, got {"x": 5}',
            "",
        ),
        (
            "score.components=1",
            "--set: score.components must be a list, each item text, got 1",
            "",
        ),
    ],
)
def test_a_wrong_set(text: str, message: str, hint: str, problems: Problems) -> None:
    assert problems(sets=[text]) == [(message, hint)]


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, problems: Problems) -> None:
    monkeypatch.setenv("BIGAN_DEVICE", "gpu")
    assert problems() == [
        ('BIGAN_DEVICE: train.device must be auto, cpu, cuda, cuda:N or mps, got "gpu"', "")
    ]


def test_a_flag_for_another_architecture_is_named(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        "from bigan_cli.contracts import Architecture\n"
        "from bigan_cli.hookspecs import hookimpl\n"
        "class Plain(Architecture):\n"
        "    name = 'plain'\n"
        "    summary = 'nothing to choose'\n"
        "    def build(self, image_shape, latent_dim): ...\n"
        "@hookimpl\n"
        "def bigan_architectures(): return [Plain]\n"
    )
    option = "model.options.feature_maps_gen"
    flags = {
        "plugins": [Path("plain.py")],
        "model.architecture": "plain",
        option: 8,
    }
    assert problems(settings=flags) == [
        (
            f"'{option}': the architecture plain has no option 'feature_maps_gen'",
            "it takes no options",
        )
    ]


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("train = 5", "train.epochs", "train must be a table, got 5"),
        ("train = []", "train.epochs", "train must be a table, got []"),
        (
            "[model]\noptions = 3",
            "model.options.feature_maps_gen",
            "model.options must be a table, got 3",
        ),
    ],
)
def test_a_value_in_place_of_a_table_is_told_whatever_lies_above(
    text: str, key: str, message: str, run_file: RunFile, problems: Problems
) -> None:
    file = run_file(text)
    assert problems(file=file) == [(f"run.toml: {message}", "")]
    assert problems(file=file, sets=[f"{key}=8"]) == [(f"run.toml: {message}", "")]
    assert problems(file=file, settings={key: 8}) == [(f"run.toml: {message}", "")]


def test_all_problems_are_told_at_once(run_file: RunFile, problems: Problems) -> None:
    file = run_file(
        "[data]\ndataset = 'mnst'\nimage_size = 3\n[train]\nepoch = 5\nlr = 'x'\n"
        "[model.options]\nqqq = 1\n[score]\ncomponents = ['qqq']\n"
    )
    found = problems(file=file, sets=["oops"], settings={"train.seed": -1})
    subjects = (
        "mnst",
        "image_size",
        "epoch'",
        "train.lr",
        "model.options",
        "'qqq'",
        "oops",
        "'train.seed'",
    )
    assert len(found) == len(subjects)
    for subject in subjects:
        assert any(subject in message for message, _ in found), subject


# Options of a plugin


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("zoom = 3", "data.options.zoom: three times is not offered"),
        ("zoom = 9", "data.options.zoom must be a number more than 0 and of 4 or less, got 9"),
        (
            "crop = [1, 2, 3]",
            "data.options.crop must be a list of 2 values, each a whole number, got [1, 2, 3]",
        ),
        ("notes = 3", "data.options.notes must be a path, got 3"),
        ("pond = 'tiny'", 'data.options.pond must be "large" or "small", got "tiny"'),
        ("ponds = 'large'", "unknown key 'ponds' in [data.options]"),
    ],
)
def test_options_of_a_plugin_are_checked_in_the_same_words(
    options: str, message: str, frogs: Path, run_file: RunFile, problems: Problems
) -> None:
    file = run_file(f"[data]\ndataset = 'frogs'\n[data.options]\n{options}\n")
    ((text, _),) = problems(file=file, settings={"plugins": [frogs]})
    assert text == f"run.toml: {message}"


def test_an_option_that_must_be_given(frogs: Path, tmp_path: Path, problems: Problems) -> None:
    source = frogs.read_text().replace(
        'Field(1.0, gt=0, le=4, description="How near.")',
        'Field(gt=0, le=4, description="How near.")',
    )
    (tmp_path / "frogs.py").write_text(source)
    assert problems(settings={"plugins": [Path("frogs.py")], "data.dataset": "frogs"}) == [
        (
            "the dataset frogs needs data.options.zoom",
            "'data.options.zoom=VALUE', a number more than 0 and of 4 or less: How near.",
        )
    ]


def test_a_preset_that_is_wrong_is_blamed(frogs: Path, tmp_path: Path, problems: Problems) -> None:
    source = frogs.read_text().replace('"epochs": 7', '"epoch": 7')
    (tmp_path / "frogs.py").write_text(source)
    assert problems(settings={"plugins": [Path("frogs.py")], "data.dataset": "frogs"}) == [
        ("preset of frogs: unknown key 'epoch' in [train]", "did you mean 'epochs'?")
    ]


def test_a_validator_that_breaks_is_told(frogs: Path, tmp_path: Path, problems: Problems) -> None:
    source = frogs.read_text().replace("raise ValueError(", "raise KeyError(")
    (tmp_path / "frogs.py").write_text(source)
    flags = {"plugins": [Path("frogs.py")], "data.dataset": "frogs"}
    ((message, _),) = problems(settings=flags, sets=["data.options.zoom=3"])
    assert message.startswith("the dataset frogs cannot check [data.options]: KeyError: ")


def test_unknown_names_mention_a_broken_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problems: Problems
) -> None:
    monkeypatch.setenv("BIGAN_PLUGINS", "frogs")
    ((message, hint),) = problems(settings={"data.dataset": "frogs"})
    assert message.startswith("unknown dataset 'frogs': plugin 'frogs': BIGAN_PLUGINS names it")
    assert hint == "'bigan plugins' lists all plugins"


# Nothing a user writes may end in anything but words

TOML = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["lr", "x", "epochs", "options", "é.b"]), inner, max_size=3
        )
    ),
    max_leaves=4,
)
PLACES = st.sampled_from(
    [
        "plugins", "data", "data.dataset", "data.root", "data.inlier", "data.outlier",
        "data.protocol", "data.outlier_portion", "data.image_size", "data.options", "model",
        "model.architecture", "model.options", "model.options.output", "train", "train.lr",
        "train.device", "score.components", "score.weights", "score.options",
        "score.options.latent_neighbours", "score.weights.reconstruction", "output.save_dir", "x.y",
    ]
)  # fmt: skip


@pytest.mark.slow
@given(values=st.dictionaries(PLACES, TOML, min_size=1, max_size=4), as_flags=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_given_ends_in_a_configuration_or_in_words(
    values: dict[str, Any], as_flags: bool, tmp_path: Path
) -> None:
    try:
        if as_flags:
            load_config(settings=values)
        else:
            load_config(sets=[f"{key}={toml_value(value)}" for key, value in values.items()])
    except BiganError as error:
        reported = (
            error.problems if isinstance(error, ConfigError) else [(error.message, error.hint)]
        )
        for message, hint in reported:
            assert message
            for raw in ("pydantic", "Input should", "ctx", "type=", "something else"):
                # What was given is shown, whatever it is.
                assert raw not in message + hint or raw in str(values)
