"""An engine that calls the worker for each part gives the file of one plain call."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="no pyarrow: pip install .[scale]")

ENGINE = """
import pickle

from bigan_cli.contracts import Engine
from bigan_cli.hookspecs import hookimpl


class Restarted(Engine):
    name = "restarted"
    summary = "a new worker for each part, last part first; the second is called twice"

    def run(self, make_worker, parts, cluster):
        assert cluster.workers == 3
        for number in [*reversed(parts), parts[1]]:
            pickle.loads(pickle.dumps(make_worker))()(number)
            yield number


class Forgetful(Restarted):
    name = "forgetful"

    def run(self, make_worker, parts, cluster):
        make_worker()(parts[0])
        yield parts[0]


@hookimpl
def bigan_engines():
    return [Restarted, Forgetful]
"""


@pytest.fixture
def score(bigan, trained, pictures, tmp_path):
    """Run ``bigan score`` on a folder, an archive and what cannot be read."""
    (tmp_path / "engines.py").write_text(ENGINE)
    (tmp_path / "damaged.png").write_text("no picture")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for path in sorted(pictures.glob("*.png"))[:5]:
            tar.add(path, path.name)
    inputs = [pictures / "more", tmp_path / "a.tar", tmp_path / "damaged.png"]

    def run(*words: object, given: list[Path] = inputs):
        options = ("--run", trained, "--device", "cpu", "--plugin", tmp_path / "engines.py")
        return bigan("score", *given, *options, *words)

    return run


def test_the_file_is_that_of_one_call(score, tmp_path) -> None:
    whole, spread = tmp_path / "whole.jsonl", tmp_path / "spread.jsonl"
    assert score("--output", whole).code == 4
    words = ("--engine", "restarted", "--workers", 3, "--part-size", 30, "--output", spread)
    done = score(*words)
    assert done.code == 4, done.err
    assert "merged 4 parts" in done.err
    assert spread.read_bytes() == whole.read_bytes()


def test_a_part_that_an_engine_left_out_is_an_error(score, tmp_path) -> None:
    words = ("--engine", "forgetful", "--workers", 3, "--part-size", 30)
    done = score(*words, "--output", tmp_path / "scores.csv")
    assert done.code == 1
    assert "3 of 4 parts missing" in done.err
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--engine", "nosuch", "--output", "scores.csv"), "unknown engine 'nosuch'"),
        (("--engine", "restarted"), "--engine needs an --output"),
        (("--workers", 2), "--workers is of no use without --engine"),
        (("--engine", "restarted", "--output", "a.csv", "--maps", "m"), "--maps is of no use"),
    ],
)
def test_options_that_do_not_suit_an_engine_are_refused(score, words, message) -> None:
    done = score(*words)
    assert done.code == 2
    assert message in done.err


def test_relative_paths_are_refused_since_workers_have_other_folders(score, tmp_path) -> None:
    words = ("--engine", "restarted", "--output", tmp_path / "scores.csv")
    done = score(*words, given=[Path("pictures")])
    assert done.code == 2
    assert "relative path" in done.err
