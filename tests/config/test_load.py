"""How a configuration is put together from its layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigan_cli.cli.flags import read_settings
from bigan_cli.config.load import LoadedConfig, load_config
from bigan_cli.config.schema import RunConfig
from bigan_cli.config.toml import to_toml
from bigan_cli.data.prepare import open_dataset
from bigan_cli.errors import ConfigError

RunFile = Callable[[str], Path]
Problems = Callable[..., list[tuple[str, str]]]

# The tests of this file that hypothesis runs many times share one folder, and do not mind.
shared_folder = settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def value_of(loaded: LoadedConfig, dotted: str) -> Any:
    tree = loaded.config.model_dump(mode="json", by_alias=True)
    for key in dotted.split("."):
        tree = tree[key]
    return tree


# Layers

KEYS: Mapping[str, st.SearchStrategy[Any]] = {
    "train.epochs": st.integers(1, 10**6),
    "train.lr": st.floats(1e-9, 0.99),
    "train.seed": st.integers(0, 2**31 - 1),
    "train.device": st.sampled_from(["auto", "cpu", "cuda:3", "mps"]),
    "data.outlier_portion": st.floats(0.01, 0.99) | st.just("all"),
    "data.image_size": st.integers(8, 1024)
    | st.lists(st.integers(8, 1024), min_size=2, max_size=2),
    "data.root": st.sampled_from(["/a", "/b c", "/é"]),
    "data.download": st.booleans(),
    "model.latent_dim": st.integers(1, 4096),
    "model.options.dropout_rate": st.floats(0, 0.99),
    "model.options.output": st.sampled_from(["tanh", "sigmoid"]),
    "score.weights.reconstruction": st.floats(0.01, 10),
    "output.save_dir": st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9),
}
LAYERS = ("file", "environment", "set", "flag")
ENVIRONMENT = {"train.device": "BIGAN_DEVICE", "data.root": "BIGAN_DATA_DIR"}


@st.composite
def layered(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """For some keys, a value in some layers."""
    chosen = draw(st.lists(st.sampled_from(sorted(KEYS)), unique=True, min_size=1, max_size=5))
    return {
        key: {
            layer: draw(KEYS[key])
            for layer in draw(st.lists(st.sampled_from(LAYERS), unique=True, min_size=1))
            if layer != "environment" or key in ENVIRONMENT
        }
        for key in chosen
    }


@given(values=layered())
@shared_folder
def test_the_highest_layer_that_names_a_key_decides_it(
    values: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    tree: dict[str, Any] = {}
    for key, by_layer in values.items():
        if "file" in by_layer:
            *tables, last = key.split(".")
            table = tree
            for name in tables:
                table = table.setdefault(name, {})
            table[last] = by_layer["file"]
    (tmp_path / "run.toml").write_text(tomli_w.dumps(tree), encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        for key, name in ENVIRONMENT.items():
            patch.delenv(name, raising=False)
            if "environment" in values.get(key, {}):
                patch.setenv(name, values[key]["environment"])
        loaded = load_config(
            file=Path("run.toml"),
            sets=[
                f"{key}={json.dumps(by_layer['set'], ensure_ascii=False)}"
                for key, by_layer in values.items()
                if "set" in by_layer
            ],
            settings={key: given["flag"] for key, given in values.items() if "flag" in given},
        )

    defaults = load_config()
    for key, by_layer in values.items():
        deciding = next((layer for layer in reversed(LAYERS) if layer in by_layer), None)
        if deciding is None:
            continue
        assert value_of(loaded, key) == by_layer[deciding]
        source = loaded.sources[key]
        assert {
            "file": source == "run.toml",
            "environment": source == ENVIRONMENT.get(key),
            "set": source == "--set",
            "flag": source == "argument",
        }[deciding]
    untouched = set(defaults.sources) - {key for key, by_layer in values.items() if by_layer}
    for key in untouched - {"score.weights"}:
        assert value_of(loaded, key) == value_of(defaults, key)
        assert loaded.sources[key] == defaults.sources[key]


def test_the_preset_of_a_data_set_lies_below_everything_that_is_given(
    run_file: RunFile, frogs: Path
) -> None:
    chosen = {"plugins": [frogs], "data.dataset": "frogs"}
    loaded = load_config(settings=chosen)
    assert (loaded.config.train.epochs, loaded.config.train.lr) == (7, 0.001)
    assert loaded.config.data.inlier == (1,)
    assert loaded.sources["train.epochs"] == "preset of frogs"
    assert loaded.sources["data.dataset"] == "argument"

    file = run_file(f'plugins = ["{frogs}"]\n[data]\ndataset = "Frogs"\n[train]\nepochs = 9\n')
    loaded = load_config(file=file, settings={"plugins": [frogs]})
    assert (loaded.config.train.epochs, loaded.config.train.lr) == (9, 0.001)
    assert loaded.config.data.dataset == "frogs"
    assert load_config(file=file, settings={"data.dataset": "digits"}).config.train.lr != 0.001


@pytest.mark.parametrize(
    ("preset", "epochs", "members"), [("fast", 33, 1), ("balanced", 100, 1), ("best", 100, 3)]
)
def test_presets_scale_what_suits_the_data_set(preset: str, epochs: int, members: int) -> None:
    loaded = load_config(settings={"train.preset": preset})
    assert (loaded.config.train.epochs, loaded.config.train.members) == (epochs, members)
    given = load_config(settings={"train.preset": preset, "train.epochs": 5})
    assert (given.config.train.epochs, given.config.train.members) == (5, members)
    # What was resolved is written out: read back, it is not scaled again.
    assert load_config(
        sets=[f"train.epochs={epochs}"], settings={"train.preset": preset}
    ).config == (loaded.config)


@pytest.mark.parametrize("dataset", ["fashion_mnist", "cifar10"])
def test_an_architecture_that_is_asked_for_outranks_the_data_set(dataset: str) -> None:
    """The tasks of these data sets are of pixels; on features no D can learn them."""
    loaded = load_config(settings={"data.dataset": dataset, "model.architecture": "features"})
    assert value_of(loaded, "train.distortions") == ["feature_noise"]
    assert value_of(loaded, "train.rotation_weight") == 0
    assert "patch_mahalanobis" in value_of(loaded, "score.components")


def test_a_preset_needs_no_data_set_of_its_own() -> None:
    usual = load_config(settings={"data.dataset": "mnist"}).config.train
    fast = load_config(settings={"data.dataset": "mnist", "train.preset": "fast"})
    assert fast.config.train.epochs == round(usual.epochs / 3)
    assert fast.sources["train.epochs"] == "preset fast"
    with pytest.raises(ConfigError, match=r"'train.preset' must be"):
        load_config(settings={"train.preset": "fine"})


@pytest.mark.parametrize(
    ("given", "left_out"),
    [({"data.outlier": ["3"]}, True), ({"data.inlier": ["3"]}, False), ({}, False)],
)
def test_leave_one_out_is_scored_in_its_own_way(given: dict[str, Any], left_out: bool) -> None:
    loaded = load_config(settings={"data.dataset": "mnist", **given})
    key = "score.options.discriminator_neighbours.memory_bank_size"
    if left_out:
        assert value_of(loaded, key) == 65_536
        assert loaded.sources[key] == "preset of leave-one-out"
    else:
        assert set(loaded.sources.values()) <= {"default", "argument"}
    # It lies below everything else, a list of other components included.
    for sets, bank in ([f"{key}=7"], 7), (['score.components=["distortion"]'], None):
        other = load_config(sets=sets, settings={"data.dataset": "mnist", **given}).config.score
        assert other.options.get("discriminator_neighbours", {}).get("memory_bank_size") == bank


def test_only_what_differs_between_machines_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BIGAN_DEVICE", "cpu")
    monkeypatch.setenv("BIGAN_DATA_DIR", "data")
    monkeypatch.setenv("BIGAN_EPOCHS", "3")
    loaded = load_config(settings={"data.dataset": "mnist"})
    assert loaded.config.train.device == "cpu"
    assert loaded.config.data.root == Path.cwd() / "data"
    assert loaded.config.train.epochs != 3
    assert loaded.sources["train.device"] == "BIGAN_DEVICE"
    assert loaded.sources["data.root"] == "BIGAN_DATA_DIR"
    # A folder of one's own is not in the cache of datasets.
    assert load_config(settings={"data.dataset": "folder"}).config.data.root is None
    monkeypatch.setenv("BIGAN_DEVICE", "")
    assert load_config().sources["train.device"] == "default"


def test_every_value_has_an_origin() -> None:
    loaded = load_config()
    presets = {key for key, source in loaded.sources.items() if source == "preset of digits"}
    assert presets == {"train.epochs"}
    assert set(loaded.sources.values()) == {"default", "preset of digits"}
    assert {"train.epochs", "model.options.output", "data.root", "plugins"} <= set(loaded.sources)


# Paths


def test_relative_paths_are_seen_from_where_they_were_given(
    tmp_path: Path, frogs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "my_frogs.py").write_text(frogs.read_text())
    (project / "run.toml").write_text(
        'plugins = ["./my_frogs.py"]\n[data]\ndataset = "frogs"\nroot = "../pond"\n'
        '[data.options]\nnotes = "notes.txt"\n[output]\nsave_dir = "out"\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    named = {"plugins": [Path("project/my_frogs.py")]}
    config = load_config(file=Path("project/run.toml"), settings=named).config
    assert config.data.root == tmp_path / "pond"
    assert config.data.options["notes"] == str(project / "notes.txt")
    assert config.plugins == (str(project / "my_frogs.py"),)
    assert config.output.save_dir == Path("out")  # from where the program runs

    config = load_config(
        file=Path("project/run.toml"),
        sets=["data.options.notes=notes.txt", "output.save_dir=~/out"],
        settings={"data.root": Path("~/pond"), **named},
    ).config
    assert config.data.root == tmp_path / "home" / "pond"
    assert config.data.options["notes"] == str(tmp_path / "notes.txt")
    assert config.output.save_dir == tmp_path / "home" / "out"


def test_plugin_files_are_run_only_where_the_caller_names_them(
    run_file: RunFile, problems: Problems, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "evil.py").write_text(f"open({str(touched)!r}, 'w').close()\n")
    file = run_file('plugins = ["evil.py"]\n')
    loaded = load_config(file=file)
    assert not touched.exists()
    assert loaded.config.plugins == ()

    text = 'plugins = ["evil.py"]\n[data]\ndataset = "evil_frogs"\n'
    ((message, hint),) = problems(file=run_file(text))
    assert "unknown dataset 'evil_frogs'" in message
    assert f"is run only if you name it: 'plugins={tmp_path / 'evil.py'}'" in hint
    assert not touched.exists()

    problems(file=run_file('plugins = ["evil.py"]\n'), settings={"plugins": [Path("evil.py")]})
    assert touched.exists()  # it has no hooks


def test_a_plugin_file_that_is_missing_is_an_error(run_file: RunFile, problems: Problems) -> None:
    ((message, _),) = problems(file=run_file('plugins = ["nowhere.py"]\n'))
    assert message == f"plugin file {Path.cwd() / 'nowhere.py'}: it does not exist"


# Which classes are normal


@pytest.mark.parametrize(
    ("below", "above", "result"),
    [
        ("inlier = [1]", {"data.outlier": ["2"]}, ("auto", (), (2,))),
        ("outlier = [1]", {"data.inlier": ["2"]}, ("auto", (2,), ())),
        ("protocol = 'leave-one-out'\noutlier = [1]", {"data.inlier": ["2"]}, ("auto", (2,), ())),
        ("protocol = 'one-class'\ninlier = [1]", {"data.outlier": ["2"]}, ("auto", (), (2,))),
        ("protocol = 'one-class'\ninlier = [1]", {"data.inlier": ["2"]}, ("one-class", (2,), ())),
        ("protocol = 'folder'\ninlier = ['1']", {"data.inlier": ["2"]}, ("auto", (2,), ())),
        ("protocol = 'folder'", {"data.outlier": ["2"]}, ("auto", (), (2,))),
        ("inlier = [1]", {"data.protocol": "leave-one-out"}, ("leave-one-out", (), ())),
        ("outlier = [1]", {"data.protocol": "one-class"}, ("one-class", (), ())),
        ("inlier = [1]", {"data.protocol": "folder"}, ("folder", (), ())),
        ("inlier = [1]\noutlier = []", {}, ("auto", (1,), ())),
        ("inlier = [1]", {"data.protocol": "auto"}, ("auto", (1,), ())),
    ],
)
def test_a_choice_of_normal_classes_replaces_a_lower_one(
    below: str, above: dict[str, Any], result: tuple[Any, ...], run_file: RunFile
) -> None:
    data = load_config(
        file=run_file(f"[data]\n{below}\n"), settings=read_settings(above)
    ).config.data
    assert (data.protocol, data.inlier, data.outlier) == result


def test_a_preset_gives_way_too(frogs: Path) -> None:
    chosen = {"plugins": [frogs], "data.dataset": "frogs", "data.outlier": ["brown"]}
    data = load_config(settings=chosen).config.data
    assert (data.inlier, data.outlier) == ((), ("brown",))


def test_one_layer_cannot_say_both(run_file: RunFile, problems: Problems) -> None:
    hint = "give one; all other classes are implied"
    assert problems(settings={"data.inlier": ["1"], "data.outlier": ["2"]}) == [
        ("'data.inlier' and 'data.outlier' exclude each other", hint)
    ]
    assert problems(file=run_file("[data]\ninlier = [1]\noutlier = [2]\n")) == [
        ("run.toml: data.inlier and data.outlier exclude each other", hint)
    ]


# What flags say differently


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("data.image_size", "28", 28),
        ("data.image_size", "28x32", (28, 32)),
        ("data.image_size", "28X32", (28, 32)),
        ("data.outlier_portion", "0.2", 0.2),
        ("data.outlier_portion", "all", "all"),
        ("data.inlier", ["0", "7", "boot", "01", "1.5"], (0, 7, "boot", "01", "1.5")),
        ("data.outlier", ["T-shirt/top"], ("T-shirt/top",)),
        ("output.save_dir", Path("out"), Path("out")),
    ],
)
def test_flags_are_read(key: str, text: object, value: object) -> None:
    table, name = key.split(".")
    assert (
        getattr(getattr(load_config(settings=read_settings({key: text})).config, table), name)
        == value
    )


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    flags = {"train.epochs": None, "data.inlier": [], "plugins": None}
    assert load_config(settings=read_settings(flags)) == load_config()


def test_of_two_sets_for_one_key_the_later_counts() -> None:
    loaded = load_config(sets=["train.epochs=5", "train={lr = 0.1}", "train.epochs = 6"])
    assert (loaded.config.train.epochs, loaded.config.train.lr) == (6, 0.1)


# Options of plugins


def test_options_are_complete_and_what_the_class_expects(frogs: Path) -> None:
    loaded = load_config(
        sets=["data.options.crop=[2, 3]"], settings={"plugins": [frogs], "data.dataset": "frogs"}
    )
    assert loaded.config.data.options == {
        "pond": "large",
        "crop": [2, 3],
        "notes": None,
        "zoom": 1.0,
    }
    assert loaded.sources["data.options.crop"] == "--set"
    assert loaded.sources["data.options.zoom"] == "default"
    options = open_dataset(loaded.registry, loaded.config.data).options
    assert options.crop == (2, 3)


def test_options_of_a_score_component_are_complete_once_it_is_named() -> None:
    config = load_config(sets=["score.components=['Latent-Neighbours', 'reconstruction']"]).config
    assert config.score.components == ("latent_neighbours", "reconstruction")
    usual = {"n_neighbors": 5, "metric": "euclidean", "memory_bank_size": 4096}
    usual |= {"subsampling": "random", "dimensions": None}
    assert config.score.options == {"latent_neighbours": usual}
    config = load_config(sets=["score.options.latent_neighbours.n_neighbors=3"]).config
    assert config.score.options["latent_neighbours"] == usual | {"n_neighbors": 3}


def test_options_that_belong_to_another_choice_are_left_out(run_file: RunFile, frogs: Path) -> None:
    file = run_file('[data]\ndataset = "folder"\nroot = "x"\n[data.options]\nlayout = "classes"\n')
    loaded = load_config(file=file, settings={"data.dataset": "mnist"})
    assert loaded.config.data.options == {}
    assert loaded.notes == ("run.toml: [data.options] belongs to folder and is ignored",)
    assert load_config(file=file).notes == ()


def test_weights_of_components_that_a_higher_list_lacks_are_dropped(run_file: RunFile) -> None:
    file = run_file(
        "[score]\ncomponents = ['reconstruction', 'discriminator']\n"
        "weights = { reconstruction = 2.0, discriminator = 1.0 }\n"
    )
    loaded = load_config(file=file, sets=["score.components=['reconstruction']"])
    assert loaded.config.score.weights == {"reconstruction": 2.0}


# Round trip


@st.composite
def any_run(draw: st.DrawFn) -> dict[str, Any]:
    """Any valid config file, as nested tables."""

    def some(**keys: st.SearchStrategy[Any]) -> dict[str, Any]:
        return draw(st.fixed_dictionaries({}, optional=keys))

    texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
    classes = st.lists(st.integers(0, 99) | texts, min_size=1, max_size=3)
    portion = st.floats(0.001, 0.499)
    dataset = draw(st.sampled_from(["digits", "mnist", "folder", "frogs"]))
    options = {
        "folder": {"layout": st.sampled_from(["auto", "classes"]), "normal": texts},
        "frogs": {
            "crop": st.lists(st.integers(-9, 9), min_size=2, max_size=2),
            "notes": st.sampled_from(["/a/b", "/é"]),
            "zoom": st.floats(0.1, 2.9),
        },
    }.get(dataset, {})
    data = some(
        root=st.sampled_from(["/data", "/my data/é"]),
        outlier_portion=portion | st.just("all"),
        image_size=st.integers(8, 1024) | st.lists(st.integers(8, 1024), min_size=2, max_size=2),
        input_channels=st.sampled_from([1, 3, 4]),
        validation_portion=portion,
        options=st.fixed_dictionaries({}, optional=options),
    )
    chosen = draw(st.sampled_from(["", "inlier", "outlier"]))
    return {
        "data": {"dataset": dataset, **data, **({chosen: draw(classes)} if chosen else {})},
        "model": some(
            latent_dim=st.integers(1, 4096),
            options=st.fixed_dictionaries(
                {}, optional={"dropout_rate": st.floats(0, 0.99), "spectral_norm": st.booleans()}
            ),
        ),
        "train": some(lr=st.floats(1e-12, 0.99), seed=st.integers(0, 2**31 - 1)),
        "score": some(
            components=st.just(["latent_neighbours"]),
            weights=st.fixed_dictionaries({"latent_neighbours": st.floats(0.01, 5)}),
            fpr=st.floats(1e-6, 0.99),
        ),
        "output": some(save_dir=texts.filter(lambda t: not t.startswith("~"))),
    }


@given(tree=any_run())
@shared_folder
def test_a_written_configuration_reads_back_as_itself(
    tree: dict[str, Any], frogs: Path, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(tomli_w.dumps(tree), encoding="utf-8")
    named = {"plugins": [frogs]}
    first = load_config(file=file, settings=named).config

    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    again = tmp_path / "elsewhere" / "config.toml"
    again.write_text(to_toml(first), encoding="utf-8")
    second = load_config(file=again, settings=named)

    assert second.config == first
    assert to_toml(second.config) == to_toml(first)
    assert second.notes == ()
    # What a run directory does, without the defaults of any plugin.
    stored = RunConfig.model_validate_json(json.dumps(tomli.loads(again.read_text("utf-8"))))
    assert stored.train == first.train
    assert stored.data.model_copy(update={"options": {}}) == first.data.model_copy(
        update={"options": {}}
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("score.components=flip,shift", ("flip", "shift")),
        ("score.components = flip", ("flip",)),
        ('score.components=["flip"]', ("flip",)),
        ("data.inlier=0,boot", (0, "boot")),
        ("data.image_size=28,32", (28, 32)),
        ("train.distortions=shuffle,elastic_fine", ("shuffle", "elastic_fine")),
    ],
)
def test_a_list_of_set_may_be_written_with_commas(text: str, value: object) -> None:
    config = load_config(sets=[text]).config
    table, _, key = text.partition("=")[0].strip().partition(".")
    assert getattr(getattr(config, table), key) == value


def test_options_of_a_plugin_take_such_lists_too(frogs: Path) -> None:
    chosen = {"data.dataset": "frogs", "plugins": [frogs]}
    loaded = load_config(sets=["data.options.crop=1,2"], settings=chosen)
    assert loaded.config.data.options["crop"] == [1, 2]
