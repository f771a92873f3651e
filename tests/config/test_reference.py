"""What is made from the declarations of the fields: the template, the list of keys, the docs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from pydantic import BaseModel

from bigan_cli.cli import generate_options
from bigan_cli.cli.flags import as_flags
from bigan_cli.cli.main import build_command
from bigan_cli.cli.options import SETTING_OPTIONS
from bigan_cli.config.load import load_config
from bigan_cli.config.reference import all_tables, markdown, template
from bigan_cli.config.schema import RunConfig
from bigan_cli.plugins import load_registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "configuration.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "folder", "shards")


@pytest.fixture(autouse=True)
def _only_built_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGAN_PLUGINS", "")


def fields(model: type[BaseModel], *table: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        keys = (*table, field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, *keys)
        else:
            yield keys


def every_key() -> set[str]:
    """Every key there is, found without the code under test."""
    registry = load_registry()
    keys = {keys for keys in fields(RunConfig) if not keys[-1].endswith("options")}
    for provided in registry.datasets.values():
        keys |= set(fields(provided.cls.Options, "data", "options"))
    for provided in registry.architectures.values():
        keys |= set(fields(provided.cls.Options, "model", "options"))
    for name, provided in registry.components.items():
        keys |= set(fields(provided.cls.Options, "score", "options", name))
    for name, provided in registry.trackers.items():
        keys |= set(fields(provided.cls.Options, "output", "tracker_options", name))
    return {".".join(key) for key in keys}


def test_the_list_of_keys_is_complete_and_each_is_described() -> None:
    rows = [row for table in all_tables(load_registry()) for row in table.rows]
    assert {row.dotted for row in rows} == every_key()
    for row in rows:
        assert row.description.endswith("."), row.dotted
        assert "something else" not in row.allowed, row.dotted


def test_the_docs_list_every_key_as_it_is() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for key in every_key():
        assert f"| `{key}` |" in text
    written = "see: bigan config keys --markdown"
    assert text.endswith(markdown(load_registry())), written


# The template


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_template_names_every_key_and_means_the_defaults(dataset: str, tmp_path: Path) -> None:
    registry = load_registry()
    cls = registry.dataset(dataset)
    text = template(registry, cls, registry.architecture("dcgan"))
    file = tmp_path / "run.toml"
    file.write_text(text, encoding="utf-8")
    assert load_config(file=file).config == load_config(settings={"data.dataset": dataset}).config

    # With nothing commented out, every key is there.
    assigned = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    present = {_key_of(keys) for keys in leaves(tomli.loads(assigned))}
    others = {
        f"data.options.{name}"
        for other in DATASETS
        for name in registry.dataset(other).Options.model_fields
        if other != dataset
    } | {f"model.options.{name}" for name in registry.architecture("features").Options.model_fields}
    assert present | others == every_key() | (present & others)


def _key_of(keys: tuple[str, ...]) -> str:
    """The key that a value belongs to: weights are one table of names."""
    return ".".join(keys[:2] if keys[:2] == ("score", "weights") else keys)


def leaves(tree: dict[str, Any], *table: str) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, *table, key)
        else:
            yield (*table, key)


def test_the_template_of_a_plugin_has_its_preset_and_its_options(
    frogs: Path, tmp_path: Path
) -> None:
    registry = load_registry([frogs])
    text = template(
        registry, registry.dataset("frogs"), registry.architecture("dcgan"), [str(frogs)]
    )
    file = tmp_path / "run.toml"
    file.write_text(text, encoding="utf-8")
    loaded = load_config(file=file, settings={"plugins": [frogs]})
    chosen = {"data.dataset": "frogs", "plugins": [frogs]}
    assert loaded.config == load_config(settings=chosen).config
    assert "\nepochs = 7\n" in text
    assert "\n# Where they were seen.\n" in text
    assert '\n#   "large" or "small"\npond = "large"\n' in text


# Flags


def test_the_options_are_those_of_the_schema() -> None:
    assert generate_options.FILE.read_text(encoding="utf-8") == generate_options.source(), (
        "run: make options"
    )


def test_every_option_of_train_that_sets_a_setting_is_made_from_the_schema() -> None:
    command = build_command().commands["train"]
    declared = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    known = {name for option in SETTING_OPTIONS for name in option.names.split("/")}
    apart = {
        "--config",
        "-c",
        "--set",
        "--resume",
        "--overwrite",
        "--dry-run",
        "--self-test",
        "--no-self-test",
        "--profile",
    }
    apart |= {"--json"}
    assert declared - apart - {"--help", "-h"} == known
    assert {option.key for option in SETTING_OPTIONS} <= every_key()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("'train.lr' must be a number", "--lr must be a number"),
        ("use 'train.device=auto'", "use --device auto"),
        (
            "use 'train.loss=hinge' or 'score.weights.flip=1'",
            "use --set train.loss=hinge or --set score.weights.flip=1",
        ),
        ("'model.options.output=sigmoid' and 'data.download=false'", "--sigmoid and --no-download"),
        ("'resume=True' or 'checkpoint=last'", "--resume or --checkpoint last"),
        ("'train.loss' has no flag", "'train.loss' has no flag"),
        ("run.toml: train.lr must be a number", "run.toml: train.lr must be a number"),
        (
            "unknown dataset 'train'; did you mean 'data.png'?",
            "unknown dataset 'train'; did you mean 'data.png'?",
        ),
    ],
)
def test_a_setting_in_a_message_is_shown_as_its_flag(message: str, shown: str) -> None:
    assert as_flags(message) == shown


# Examples


def test_there_is_an_example_for_every_data_set_and_for_own_folders() -> None:
    names = {path.stem for path in EXAMPLES}
    assert names == {*DATASETS} - {"folder"} | {
        "cifar10_features",
        "own_folder",
        "own_folder_defects",
    }
    used = {load_config(file=path).config.data.dataset for path in EXAMPLES}
    assert used == set(DATASETS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_says_how_it_is_run(
    path: Path, bigan: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    name = path.relative_to(ROOT)
    assert bigan("config", "check", name).lines == [f"{name}: ok"]
    words = shlex.split(path.read_text(encoding="utf-8").splitlines()[0])
    assert words[:5] == ["#", "bigan", "train", "-c", str(name)]
    if (
        load_config(file=path)
        .registry.dataset(load_config(file=path).config.data.dataset)
        .needs_root
    ):
        assert words[5] == "--data-root"
