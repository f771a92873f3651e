"""Damaged files of a run: every command ends in one clear line, at once, and changes nothing."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from pathlib import Path

import pytest

from bigan_cli.cli.main import main
from bigan_cli.errors import ConfigError, RunDirectoryError
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.training_state import read_training_state, write_training_state

FILES = ("run.json", "config.toml", "stats/metrics.jsonl", "models/training-state.pt")
READERS = (
    RunDirectory.info,
    RunDirectory.config,
    RunDirectory.metrics,
    lambda run: read_training_state(run.training_state(0)),
)
STRANGE = (None, True, -1, 10**30, 0.5, "x", [], {}, [[]], {"x": {"y": [1]}}, "x" * 10**5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["--outlier", "8", "--epochs", "1", "--device", "cpu", "--latent-dim", "8"]
    words += ["--feature-maps-gen", "8", "--feature-maps-disc", "8"]
    words += ["--set", "score.components=reconstruction"]
    assert main(["-q", "train", *words, "--save-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def commands(run: Path, *, all_of_them: bool = False) -> list[tuple[object, ...]]:
    resume = ("train", "--resume", "--epochs", "1", "--save-dir", run)
    if not all_of_them:
        return [resume]
    return [
        resume,
        ("train", "--outlier", "8", "--save-dir", run),
        ("evaluate", "--run", run),
        ("animate", "--run", run),
    ]


def check(bigan, words: tuple[object, ...], file: Path) -> None:
    done = bigan(*words)
    assert "defect" not in done.err, (words, file)
    assert "Traceback" not in done.err, (words, file)
    assert len(done.err) < 4000, (words, file)
    if done.code:
        assert done.code in (1, 2), done.err
        assert done.err.count("error:") == 1, done.err


def unreadable(path: Path) -> None:
    path.unlink()
    path.touch(mode=0)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def nested(path: Path) -> None:
    path.write_text("[" * 100_000 + "\n")


def digits(path: Path) -> None:
    path.write_text('{"schema": ' + "9" * 10_000 + "}\n")


def not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00" * 100 + b"\n")


@pytest.mark.parametrize("damage", [pipe, folder, nested, digits, not_text, unreadable])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_such_file_is_refused(run, name, damage):
    if damage is unreadable and os.geteuid() == 0:
        pytest.skip("root may read every file")
    damage(run / name)
    reader = READERS[FILES.index(name)]
    with pytest.raises((RunDirectoryError, ConfigError), match=re.escape(str(run / name))):
        reader(RunDirectory(run))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["run.json", "models/training-state.pt"])
def test_resuming_does_not_wait_for_a_named_pipe(run, bigan, name):
    pipe(run / name)
    done = bigan("train", "--resume", "--epochs", "2", "--save-dir", run)
    assert done.code == 2, done.err
    assert f"cannot read {run / name}: it is a named pipe, not a file" in done.err


def test_other_commands_name_the_damaged_run_file(run, bigan):
    pipe(run / "run.json")
    for words in commands(run, all_of_them=True):
        check(bigan, words, run / "run.json")
    done = bigan("evaluate", "--run", run)
    assert "run.json: it is a named pipe, not a file" in done.err


def change_values(document: object, rng: random.Random) -> None:
    """Put values of other types at a random place of a JSON document."""
    while isinstance(document, dict | list) and document:
        keys = list(document) if isinstance(document, dict) else range(len(document))
        key = rng.choice(list(keys))
        inner = document[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.4:
            if rng.random() < 0.2:
                del document[key]
            else:
                document[key] = rng.choice(STRANGE)
            return
        document = inner


def damage_text(data: bytes, rng: random.Random) -> bytes:
    bits = bytearray(data)
    at = rng.randrange(len(bits))
    match rng.randrange(4):
        case 0:
            bits[at] ^= 1 << rng.randrange(8)
        case 1:
            del bits[at:]
        case 2:
            bits[at:] = bytes(len(bits) - at)
        case 3:
            del bits[at : at + rng.choice((1, 5, 50))]
    return bytes(bits)


def damaged(path: Path, rng: random.Random) -> bytes:
    if path.suffix in (".json", ".jsonl") and rng.random() < 0.6:
        document = json.loads(
            path.read_text().splitlines()[0] if path.suffix == ".jsonl" else path.read_text()
        )
        change_values(document, rng)
        return json.dumps(document).encode() + b"\n"
    return damage_text(path.read_bytes(), rng)


def test_damage_is_read_or_refused(trained, run):
    rng = random.Random(0)
    for turn in range(90):
        name, reader = FILES[turn % 3], READERS[turn % 3]
        (run / name).write_bytes(damaged(trained / name, rng))
        try:
            reader(RunDirectory(run))
        except (RunDirectoryError, ConfigError) as error:
            assert len(error.message) < 2000  # noqa: PT017
        shutil.copy(trained / name, run / name)


@pytest.mark.slow
def test_damaged_runs_are_evaluated_or_refused(trained, run, bigan):
    rng = random.Random(1)
    for turn in range(24):
        name = FILES[turn % len(FILES)]
        (run / name).write_bytes(damaged(trained / name, rng))
        for words in commands(run, all_of_them=turn % 4 == 0):
            check(bigan, words, run / name)
        shutil.copy(trained / name, run / name)


@pytest.mark.parametrize("key", ["networks", "d_optimiser"])
def test_a_training_state_of_other_networks_is_refused(run, bigan, key):
    file = RunDirectory(run).training_state(0)
    state = read_training_state(file)
    state[key] = {"x": 1}
    write_training_state(file, state)
    done = bigan("train", "--resume", "--epochs", "2", "--save-dir", run)
    assert done.code == 2, done.err
    assert "does not belong to this run" in done.err
