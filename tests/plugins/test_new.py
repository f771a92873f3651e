"""``bigan plugins new``: packages that work, are tested, and can be installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from bigan_cli import __version__

KINDS = ("dataset", "architecture", "score")


def in_package(package, *words):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=package, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "kind",
    [k if k == "dataset" else pytest.param(k, marks=pytest.mark.slow) for k in KINDS],
)
def test_its_own_tests_pass_at_once(kind, bigan, tmp_path):
    outcome = bigan("plugins", "new", "tree-frogs", "--kind", kind, "--output", tmp_path)
    package = tmp_path / "bigan-tree-frogs"
    assert (outcome.code, outcome.out) == (0, f"{package}\n")
    assert outcome.err == (f"next: pip install -e {package}, then bigan plugins check tree_frogs\n")
    tests = in_package(package, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert tests.returncode == 0, tests.stdout
    assert "failed" not in tests.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_template_is_left(kind, bigan, tmp_path):
    bigan("plugins", "new", "Frogs", "--kind", kind, "-o", tmp_path)
    package = tmp_path / "bigan-frogs"
    files = {p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file()}
    assert {"pyproject.toml", "README.md", ".gitignore", "bigan_frogs.py"} <= files
    assert "tests/test_frogs.py" in files
    for file in files:
        text = (package / file).read_text(encoding="utf-8")
        assert "newplugin" not in (file + text).lower()
        assert "MODULES" not in text
    project = tomli.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "bigan-frogs"
    assert project["project"]["entry-points"]["bigan"] == {"frogs": "bigan_frogs"}
    assert project["project"]["dependencies"] == [f"bigan-cli>={__version__.rpartition('.')[0]}"]
    modules = {Path(file).stem for file in files if "/" not in file and file.endswith(".py")}
    assert set(project["tool"]["setuptools"]["py-modules"]) == modules
    assert "license" not in project["project"]  # that is for its author to choose
    assert [*tmp_path.iterdir()] == [package]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "'' cannot be the name of a plugin"),
        ("3frogs", "'3frogs' cannot be the name of a plugin"),
        ("../frogs", "'../frogs' cannot be the name of a plugin"),
        ("frogs toads", "'frogs toads' cannot be the name of a plugin"),
        ("frögs", "'frögs' cannot be the name of a plugin"),
        ("frogs--toads", "'frogs--toads' cannot be the name of a plugin"),
        ("f" * 41, "cannot be the name of a plugin"),
        ("cli", "'cli' cannot be the name of a plugin"),
        ("bigan-cli", "'bigan-cli' cannot be the name of a plugin"),
        ("mnist", f"there is a dataset 'mnist' already, in bigan-cli {__version__}"),
        ("Fashion-MNIST", "there is a dataset 'fashion_mnist' already"),
    ],
)
def test_a_bad_name_is_refused_in_words_and_nothing_is_written(name, reason, bigan, tmp_path):
    outcome = bigan("plugins", "new", name, "--output", tmp_path)
    assert outcome.code == 2
    assert reason in outcome.err.splitlines()[0]
    assert len(outcome.err.splitlines()) == 2
    assert [*tmp_path.iterdir()] == []


def test_the_prefix_of_the_package_may_be_given(bigan, tmp_path):
    assert bigan("plugins", "new", "bigan-frogs", "-o", tmp_path).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["bigan-frogs"]


def test_a_folder_that_is_there_is_left_alone(bigan, tmp_path):
    package = tmp_path / "bigan-frogs"
    package.mkdir()
    outcome = bigan("plugins", "new", "frogs", "--output", tmp_path)
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        f"error: {package} exists",
        "hint: choose another name or another folder",
    ]
    assert [*tmp_path.rglob("*")] == [package]


def test_an_unknown_kind_is_refused(bigan, tmp_path):
    outcome = bigan("plugins", "new", "frogs", "--kind", "model", "-o", tmp_path)
    assert outcome.code == 2
    assert outcome.err.startswith("error: unknown kind 'model': it is one of dataset")
    assert [*tmp_path.iterdir()] == []


def test_a_place_that_cannot_be_written_is_told(bigan, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = bigan("plugins", "new", "frogs", "--output", tmp_path / "file")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.slow
def test_from_nothing_to_a_trained_model(bigan, site, tmp_path, monkeypatch):
    """A package is written, built and installed for real, listed, checked and trained on."""
    for name, kind in (("frogs", "dataset"), ("ponds", "architecture"), ("ripples", "score")):
        assert bigan("plugins", "new", name, "--kind", kind, "-o", tmp_path).code == 0
        words = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
        package = tmp_path / f"bigan-{name}"
        done = in_package(tmp_path, *words, "--target", str(site), str(package))
        assert done.returncode == 0, done.stderr

    listed = bigan("datasets")
    assert "frogs\t1x16x16\t2\t" in listed.out
    assert "\tbigan-frogs 0.1.0\n" in listed.out
    checked = bigan("plugins", "check", "ripples")
    assert checked.code == 0, checked.err
    run = tmp_path / "run"
    trained = bigan(
        *("train", "--dataset", "frogs", "--architecture", "ponds", "--epochs", "1"),
        *("--set", "model.options.width=4", "--set", "data.options.images=120"),
        *("--set", 'score.components=["ripples"]', "--save-dir", run, "--device", "cpu"),
    )
    assert trained.code == 0, trained.err
    evaluated = bigan("evaluate", "--run", run, "--json")
    assert evaluated.code == 0, evaluated.err
    assert '"ripples"' in evaluated.out
    monkeypatch.setenv("BIGAN_PLUGINS", "-ponds")
    gone = bigan("evaluate", "--run", run)
    assert gone.code == 2
    assert gone.err.startswith("error: unknown architecture 'ponds'")
