"""Damaged run directories: every command ends in one clear line, at once, and changes nothing.

A file of a finished run is damaged (bits, cuts, values of other types), replaced by a named pipe,
a folder or a link, or removed. Then all that reads it is called; for one case in forty a whole
command is run in a process of its own. A resumed training that succeeds must end with the weights
of an undamaged run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import commands
import damage
import sweep

FILES = (
    *("run.json", "config.toml", "files.txt", "stats/metrics.jsonl", "stats/evaluation.json"),
    *("models/training-state.pt", "models/best.safetensors", "models/epoch-0000.safetensors"),
    *("models/last.safetensors", "reconstruction/comparison/epoch-0001.png"),
    *("stats/scores.csv", "stats/self_test.json"),
)
_SECONDS, _TIMEOUT = 20, 120
_WHOLE = 40  # one case in so many is a whole command
_SELF_TEST = """{"model_sha256": "x", "fpr": 0.05, "defects": [
{"kind": "stain", "pixels": 2, "found": 1, "untrained": 0, "pca": 0, "total": 3}]}"""
KINDS = ("bytes", "value", "pipe", "folder", "link to nothing", "link to itself", "removed", "huge")


def main(words: list[str] | None = None) -> int:
    """Run the sweep."""
    options = sweep.arguments(__doc__, 2000).parse_args(words)
    started, tally = time.monotonic(), sweep.Tally("damaged runs")
    signal.signal(signal.SIGALRM, _too_late)
    with sweep.scratch() as folder:
        commands.warm_up()
        whole = sweep.train_small(folder / "whole")
        commands.bigan("evaluate", "--run", whole)
        _add_self_test(whole)
        other = Path(shutil.copytree(whole, folder / "other"))
        longer = Path(shutil.copytree(whole, folder / "longer"))
        commands.bigan("train", "--resume", "--epochs", 3, "--save-dir", longer)
        (picture,) = sweep.write_digits(folder / "pictures", 1)
        expected = {True: _weights(longer), False: _weights(whole)}
        for number, rng in sweep.cases(options):
            run = folder / "run"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(whole, run)
            name = rng.choice(FILES[:6] if rng.random() < 0.7 else FILES[6:])
            kind = rng.choice(KINDS[2:]) if rng.random() < 0.15 else rng.choice(KINDS[:2])
            what = f"{name} {_damage(run / name, kind, rng)}"
            if number % _WHOLE == _WHOLE - 1:
                _command_case(run, (name, kind, what), (picture, other), expected, rng, tally)
            else:
                _read_case(run, name, kind, what, tally)
    return tally.report(options, started)


def _add_self_test(run: Path) -> None:
    from bigan_cli.storage.run_directory import RunDirectory

    directory = RunDirectory(run)
    directory.claim(directory.self_test_file).write_text(_SELF_TEST, encoding="utf-8")


def _read_case(run: Path, name: str, kind: str, what: str, tally: sweep.Tally) -> None:
    """Call all that reads the files of a run."""
    from bigan_cli.errors import BiganError
    from bigan_cli.storage.evaluation_record import read_evaluation, read_scores
    from bigan_cli.storage.model_header import read_header
    from bigan_cli.storage.run_directory import RunDirectory
    from bigan_cli.storage.training_state import read_training_state
    from bigan_cli.workflows.self_test_result import read_self_test

    directory = RunDirectory(run)
    refused = 0
    for read in (
        directory.info,
        directory.config,
        directory.metrics,
        lambda: directory.check_free(overwrite=True),
        lambda: read_training_state(directory.training_state(0)),
        lambda: read_header(directory.best_model),
        lambda: read_header(directory.last_model),
        lambda: read_evaluation(directory.evaluation_file),
        lambda: read_scores(directory.scores_file),
        lambda: read_self_test(directory),
    ):
        signal.alarm(int(commands.patient(_SECONDS)))
        try:
            read()
        except BiganError as error:
            refused += 1
            if len(error.message) > commands.SCREEN:
                tally.add(f"{name}, {kind}", "more than a screen", what, fault=True)
                return
        except Exception as error:  # noqa: BLE001  counted
            outcome = f"internal error or hang ({type(error).__name__})"
            tally.add(f"{name}, {kind}", outcome, f"{what}: {error}", fault=True)
            return
        finally:
            signal.alarm(0)
    tally.add(f"{name}, {kind}", "read: refused" if refused else "read: worked")


def _too_late(*_: object) -> None:
    raise TimeoutError


def _command_case(
    run: Path,
    damaged: tuple[str, str, str],
    whole: tuple[Path, Path],
    expected: dict[bool, dict[str, bytes]],
    rng: random.Random,
    tally: sweep.Tally,
) -> None:
    """Run a command."""
    name, kind, what = damaged
    path = run / name
    command = _command(run, *whole, rng)
    done = commands.bigan(*command, timeout=_TIMEOUT)
    case = f"{what}: {' '.join(map(str, command))}\n{done.err[-700:]}"
    outcome = done.problem()
    if not outcome and done.code == 0:
        outcome = "worked"
        # A changed configuration, or a changed state with a valid checksum, is another training.
        other = name == "config.toml" or (kind == "value" and path.suffix == ".pt")
        resumed = "--resume" in command and not other
        if resumed and _weights(run) != expected["--epochs" in command]:
            outcome = "other weights without a word"
    good = {"": "refused" if done.code != 4 else "worked", "worked": "worked"}
    tally.add(f"{name}, {kind}", good.get(outcome, outcome), case, fault=outcome not in good)


def _command(run: Path, picture: Path, other: Path, rng: random.Random) -> tuple[object, ...]:
    return rng.choice(
        (
            ("-q", "train", "--resume", "--epochs", 3, "--save-dir", run),
            ("-q", "train", "--resume", "--save-dir", run),
            ("-q", "train", *sweep.SMALL, "--save-dir", run),
            ("-q", "evaluate", "--run", run),
            ("-q", "report", "--run", run),
            ("-q", "compare", run, other),
            ("-q", "compare", other, run),
            ("-q", "animate", "--run", run),
            ("-q", "reconstruct", "--run", run),
            ("-q", "score", picture, "--run", run),
            ("-q", "config", "show", "-c", run / "config.toml"),
            ("-q", "config", "check", run / "config.toml"),
        )
    )


def _damage(path: Path, kind: str, rng: random.Random) -> str:
    data = path.read_bytes()
    text = path.suffix in (".json", ".jsonl", ".toml")
    if kind == "value" and text:
        return _change_value(path, rng)
    if kind == "value" and path.suffix == ".pt":
        return _change_state(path, rng)
    if kind in ("bytes", "value"):
        path.write_bytes(damage.damaged(data, rng))
        return "damaged"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to nothing":
        path.symlink_to("nowhere")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(10**12)  # a hole: no disk is needed
    return kind


def _change_value(path: Path, rng: random.Random) -> str:
    if path.suffix == ".toml":
        import tomli
        import tomli_w

        document: Any = tomli.loads(path.read_text(encoding="utf-8"))
    else:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)
    keys = damage.change_value(document, rng)
    if path.suffix == ".toml":
        try:
            path.write_text(tomli_w.dumps(document), encoding="utf-8")
        except (TypeError, ValueError, AttributeError):  # null, which TOML has not
            path.write_bytes(damage.damaged(path.read_bytes(), rng))
    else:
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")
    return str(keys)


def _change_state(path: Path, rng: random.Random) -> str:
    """Change a value of the training state and give it a valid checksum."""
    import torch

    from bigan_cli.storage.training_state import read_training_state, write_training_state

    state: Any = read_training_state(path)
    keys, inner = [], state
    while isinstance(inner, dict | list) and inner:
        key = rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        keys.append(key)
        parent, inner = inner, inner[key]
        if rng.random() < 0.2:
            break
    tensors = (torch.zeros(3), torch.zeros(0), torch.full((2, 2), float("nan")), torch.zeros(1, 1))
    strange = [value for value in damage.STRANGE if value is not None]
    parent[keys[-1]] = rng.choice((*tensors, *strange, None))
    write_training_state(path, state)
    return str(keys)


def _weights(run: Path) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    try:
        found = load_file(run / "models" / "last.safetensors")
    except Exception:  # noqa: BLE001  it was damaged
        return {}
    return {name: value.tobytes() for name, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
