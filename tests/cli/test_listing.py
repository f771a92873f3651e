"""``bigan datasets``, ``bigan architectures`` and ``bigan plugins``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

GOOD = """
from bigan_cli.contracts import Dataset
from bigan_cli.hookspecs import hookimpl

class Frogs(Dataset):
    name = "frogs"
    summary = "green ones"
    def train_items(self): ...
    def test_items(self): ...

@hookimpl
def bigan_datasets():
    return [Frogs]
"""


KINDS = """
from enum import Enum
from pathlib import Path

class Kind(Enum):
    TREE = "tree"

class Kinds(Options):
    kind: Kind = Kind.TREE
    pond: Path = Path("ponds/deep")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package with one module as a plugin."""

    def put(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[bigan]\n{name} = {name}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield put
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def rows(out: str) -> list[dict[str, str]]:
    heading, *lines = (line.split("\t") for line in out.splitlines())
    return [dict(zip(heading, line, strict=True)) for line in lines]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("datasets", "digits"),
        ("datasets", "folder"),
        ("architectures", "dcgan"),
        ("components", "latent_neighbours"),
    ],
)
class TestTables:
    def test_lists_the_built_ins(self, bigan, command, name):
        outcome = bigan(command)
        row = next(row for row in rows(outcome.out) if row["name"] == name)
        assert row["summary"]
        assert row["from"].startswith("bigan-cli ")
        assert (outcome.code, outcome.err) == (0, "")

    def test_json_says_the_same_and_more(self, bigan, command, name):
        document = json.loads(bigan(command, "--json").out)
        assert document["schema"] == 1
        assert [entry["name"] for entry in document[command]] == [
            row["name"] for row in rows(bigan(command).out)
        ]
        entry = next(entry for entry in document[command] if entry["name"] == name)
        assert all(option["description"] for option in entry["options"])

    def test_shows_the_options_of_one(self, bigan, command, name):
        document = json.loads(bigan(command, name, "--json").out)
        assert [entry["name"] for entry in document[command]] == [name]
        shown = bigan(command, name)
        for option in document[command][0]["options"]:
            assert f"{option['name']}\t" in shown.out
            assert f"\t{option['description']}\n" in shown.out


def test_a_dash_is_as_good_as_an_underscore(bigan):
    assert bigan("datasets", "fashion-mnist", "--json") == bigan(
        "datasets", "fashion_mnist", "--json"
    )


def test_components_are_listed_with_their_weights(bigan):
    shown = rows(bigan("components").out)
    weights = {row["name"]: row["weight"] for row in shown}
    assert (weights["distortion"], weights["reconstruction"]) == ("2", "0")
    default = {row["name"]: row["default"] for row in shown}
    assert (default["reconstruction"], default["joint_neighbours"]) == ("yes", "no")
    listed = json.loads(bigan("components", "--json").out)["components"]
    assert {entry["name"]: f"{entry['weight']:g}" for entry in listed} == weights
    outcome = bigan("components", "latent-neighbours")
    assert "[score.options.latent_neighbours]" in outcome.err
    assert "--set score.weights.latent_neighbours=WEIGHT" in outcome.err


def test_classes_of_a_data_set_are_numbered(bigan):
    assert "\n1\tTrouser\n" in bigan("datasets", "fashion_mnist").out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("datasets", "fashion-mnst"), "did you mean 'fashion_mnist'?"),
        (("architectures", "dcgam"), "did you mean 'dcgan'?"),
        (("components", "reconstrution"), "did you mean 'reconstruction'?"),
    ],
)
def test_a_near_miss_is_suggested(bigan, words, hint):
    outcome = bigan(*words)
    assert outcome.err.startswith("error: unknown ")
    assert hint in outcome.err.splitlines()[1]
    assert (outcome.code, outcome.out) == (2, "")


class TestPlugins:
    def test_built_ins_work(self, bigan):
        listed = rows(bigan("plugins").out)
        assert {"digits", "dcgan", "reconstruction"} <= {row["plugin"] for row in listed}
        assert {row["status"] for row in listed} == {"ok"}

    def test_a_third_party_dataset_is_listed(self, bigan, install):
        install("bigan_test_frogs", GOOD)
        row = next(row for row in rows(bigan("datasets").out) if row["name"] == "frogs")
        assert row["from"] == "bigan_test_frogs 1.2"
        row = next(r for r in rows(bigan("plugins").out) if r["plugin"] == "bigan_test_frogs")
        assert row["provides"] == "dataset frogs"

    def test_defaults_are_told_as_a_run_file_has_them(self, bigan, install):
        source = GOOD.replace("import Dataset", "import Dataset, Options").replace(
            "class Frogs", f"{KINDS}\nclass Frogs"
        )
        install("bigan_test_kinds", source.replace("    name =", "    Options = Kinds\n    name ="))
        outcome = bigan("datasets", "frogs", "--json")
        assert (outcome.code, outcome.err) == (0, "")
        (frogs,) = json.loads(outcome.out)["datasets"]
        assert {option["name"]: option["default"] for option in frogs["options"]} == {
            "kind": "tree",
            "pond": "ponds/deep",
        }
        assert 'kind\t"tree"\t' in bigan("datasets", "frogs").out

    def test_a_broken_one_stops_nothing(self, bigan, install):
        install("bigan_test_broken", "import no_such_module_anywhere")
        outcome = bigan("plugins", "--json")
        found = {entry["name"]: entry for entry in json.loads(outcome.out)["plugins"]}
        assert "no_such_module_anywhere" in found["bigan_test_broken"]["broken"]
        assert found["digits"]["broken"] is None
        assert outcome.code == 0
        row = next(r for r in rows(bigan("plugins").out) if r["plugin"] == "bigan_test_broken")
        assert row["status"].startswith("broken: ")
        listing = bigan("datasets")
        assert "digits" in listing.out
        assert listing.err.startswith("warning: plugin 'bigan_test_broken'")

    def test_two_of_one_name_are_told(self, bigan, install):
        install("bigan_test_frogs", GOOD)
        install("bigan_test_more_frogs", GOOD)
        outcome = bigan("plugins")
        assert "warning: dataset 'frogs' is provided more than once: " in outcome.err
        assert json.loads(bigan("plugins", "--json").out)["clashes"] == {
            "frogs": ["bigan_test_frogs 1.2", "bigan_test_more_frogs 1.2"]
        }
