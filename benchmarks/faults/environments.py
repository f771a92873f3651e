"""Hostile environments: commands work, or end in one line that says what is wrong.

Locales, home and temporary folders that are missing or may only be read, closed streams, limits of
memory, files and processes, variables with odd values, and folders with modules named like those
of Python and of packages.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import commands
import sweep

_VARIABLES: Mapping[str, tuple[str | None, ...]] = {
    "HOME": ("/nowhere", "/proc", "", None),
    "TMPDIR": ("/nowhere", "/proc", ""),
    "XDG_CACHE_HOME": ("/nowhere", "/proc/x", "relative", "/dev/null", ""),
    "LC_ALL": ("C", "POSIX", "C.UTF-8", "xx_YY.UTF-8", "tr_TR.UTF-8"),
    "LANG": ("C", "junk"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "utf-8:strict"),
    "PYTHONUTF8": ("0", "1"),
    "PYTHONWARNINGS": ("error", "always"),
    "PYTHONOPTIMIZE": ("2",),
    "PYTHONHASHSEED": ("1",),
    "PYTHONDONTWRITEBYTECODE": ("1",),
    "PYTHONPATH": ("/nowhere", ""),
    "COLUMNS": ("1", "0", "-1", "junk", "100000"),
    "LINES": ("0", "junk"),
    "TERM": ("dumb", "junk", "", None),
    "NO_COLOR": ("1", ""),
    "FORCE_COLOR": ("1",),
    "OMP_NUM_THREADS": ("0", "-1", "junk", "1000", "1,2", ""),
    "MKL_NUM_THREADS": ("junk",),
    "CUDA_VISIBLE_DEVICES": ("", "7", "junk", "-1"),
    "MPLBACKEND": ("module://nowhere", "TkAgg", "junk"),
    "MPLCONFIGDIR": ("/nowhere", "/proc"),
    "TZ": ("junk", "UTC+99"),
    "BIGAN_DEVICE": ("junk", "", "cuda:99"),
    "BIGAN_DATA_DIR": ("/nowhere", "", "/dev/null", "~nobody/x"),
    "BIGAN_PLUGINS": ("", "junk", "-junk", ",,", "-"),
    "BIGAN_DEBUG": ("0", ""),
    "TORCH_HOME": ("/nowhere",),
    "NUMBA_CACHE_DIR": ("/nowhere",),
    "SOURCE_DATE_EPOCH": ("junk",),
    "http_proxy": ("junk://x", "http://127.0.0.1:1"),
}
_MODULES = (
    *("random", "typer", "torch", "json", "numpy", "PIL", "signal", "types", "site", "rich"),
    *("bigan_cli", "usercustomize", "logging", "copy", "queue", "tokenize", "secrets", "token"),
)


@dataclass
class _Environment:
    """An environment for one command.

    Attributes:
        name: What is hostile about it.
        variables: Values of environment variables; None unsets one.
        before: Called in the process before the command.
        folder: Prepares the current folder.
    """

    name: str
    variables: dict[str, str | None] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    folder: Callable[[Path], object] | None = None


def main(words: list[str] | None = None) -> int:
    """Run the sweep."""
    options = sweep.arguments(__doc__, 150).parse_args(words)
    started, tally = time.monotonic(), sweep.Tally("hostile environments")
    with sweep.scratch() as folder:
        run = folder / "whole"
        done = commands.fresh("-q", "train", *sweep.SMALL, "--save-dir", run, timeout=600)
        if done.code != 0:
            raise SystemExit(done.err)
        pictures = folder / "pictures"
        sweep.write_digits(pictures, 3)
        expected = _table(commands.fresh("score", pictures, "--run", run))
        environments = _environments()
        # A sweep that is short of time meets some of every kind.
        random.Random(options.seed).shuffle(environments)
        for number, rng in sweep.cases(options):
            known = environments[number % len(environments)]
            environment = known if number < len(environments) else _mixed(environments, rng)
            _case(folder, environment, run, pictures, expected, rng, tally)
    return tally.report(options, started)


def _case(
    folder: Path,
    environment: _Environment,
    run: Path,
    pictures: Path,
    expected: object,
    rng: random.Random,
    tally: sweep.Tally,
) -> None:
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    if environment.folder is not None:
        environment.folder(work)
    variables = {**os.environ, **environment.variables}
    command = rng.choice(
        (
            ("score", pictures, "--run", run),
            ("score", pictures, "--run", run),
            ("evaluate", "--run", run, "--output", work / "stats"),
            ("-q", "train", *sweep.SMALL, "--save-dir", work / "run"),
            ("env", "--json"),
        )
    )
    done = commands.fresh(
        *command,
        cwd=work,
        env={name: value for name, value in variables.items() if value is not None},
        preexec_fn=environment.before,
    )
    problem = done.problem()
    scored = command[0] == "score" and done.code == 0 and done.out
    if not problem and scored and _table(done) != expected:
        problem = "other scores without a word"
    if not problem and (work / "ran").exists():
        problem = "a module of the current folder ran"
    outcome = problem or ("worked" if done.code == 0 else "one clear error")
    case = f"{environment.name}: {command[:2]}\n{done.err[-900:]}"
    kind = environment.name.partition("=")[0]
    tally.add(kind, outcome, case, fault=bool(problem))


def _table(done: commands.Ended) -> object:
    try:
        return [json.loads(line) for line in done.out.splitlines()]
    except ValueError:
        return done.out.splitlines()


def _environments() -> list[_Environment]:
    found = [
        _Environment(f"{name}={value}", {name: value})
        for name, values in _VARIABLES.items()
        for value in values
    ]
    found += [
        _Environment(f"stream {number} closed", before=lambda number=number: os.close(number))
        for number in (0, 1, 2)
    ]
    limits = {
        "memory": (resource.RLIMIT_AS, (200, 500, 1000, 2000), 2**20),
        "data": (resource.RLIMIT_DATA, (100, 400), 2**20),
        "files": (resource.RLIMIT_NOFILE, (8, 20, 40), 1),
        "stack": (resource.RLIMIT_STACK, (256,), 2**10),
        "core": (resource.RLIMIT_CORE, (0,), 1),
    }
    for name, (limit, values, unit) in limits.items():
        for value in values:
            found.append(
                _Environment(f"limit of {name}={value}", before=_limiter(limit, value * unit))
            )
    found.append(_Environment("umask=0777", before=lambda: os.umask(0o777)))
    found.append(_Environment("current folder is gone", before=_leave))
    found += [
        _Environment(f"current folder has {name}.py", folder=_shadow(name)) for name in _MODULES
    ]
    return found


def _mixed(environments: list[_Environment], rng: random.Random) -> _Environment:
    """Return two environments at once."""
    one, other = rng.sample(environments, 2)
    calls = [call for call in (one.before, other.before) if call is not None]

    def before() -> None:
        for call in calls:
            call()

    return _Environment(
        "two at once=" + f"{one.name} and {other.name}",
        one.variables | other.variables,
        before if calls else None,
        one.folder or other.folder,
    )


def _limiter(limit: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


def _leave() -> None:
    gone = Path.cwd() / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()


def _shadow(name: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")

    return write


if __name__ == "__main__":
    sys.exit(main())
