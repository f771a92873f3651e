"""Wrong config files and command lines: clear messages of at most a screen, never a traceback.

Config files are written from the reference of all keys, with values of other types, misspelt
keys, odd texts and damaged bytes. Command lines have options of every command with odd values;
``train`` is only planned (``--dry-run``).
"""

from __future__ import annotations

import random
import shutil
import string
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import commands
import damage
import sweep

_TIMEOUT = 120
_COMMANDS = {
    ("train", "--dry-run"): 2,
    ("score",): 3,
    ("evaluate",): 2,
    ("reconstruct",): 2,
    ("animate",): 3,
    ("benchmark", "--dry-run"): 1,
    ("config", "show"): 2,
    ("config", "check"): 1,
    ("config", "init"): 1,
    ("config", "keys"): 1,
    ("datasets",): 1,
    ("architectures",): 1,
    ("components",): 1,
    ("plugins",): 1,
    ("plugins", "check"): 1,
    ("data", "check"): 1,
    ("env",): 1,
}


def main(words: list[str] | None = None) -> int:
    """Run the sweep."""
    parser = sweep.arguments(__doc__, 3000)
    parser.add_argument(
        "--kind", choices=("configurations", "command lines"), help="one kind of case alone"
    )
    options = parser.parse_args(words)
    started, tally = time.monotonic(), sweep.Tally(options.kind or "configurations, command lines")
    with sweep.scratch() as folder:
        commands.warm_up()
        sweep.train_small(folder / "whole")
        sweep.write_digits(folder / "pictures", 5)
        template = commands.bigan("config", "init").out
        for number, rng in sweep.cases(options):
            kind = options.kind or ("command lines" if number % 3 == 2 else "configurations")
            if kind == "command lines":
                _command_line(folder, rng, tally)
            else:
                _configuration(template, folder / "fuzz.toml", rng, tally)
    return tally.report(options, started)


def _configuration(template: str, file: Path, rng: random.Random, tally: sweep.Tally) -> None:
    if rng.random() < 0.7:
        text = _changed_tables(template, rng).encode("utf-8", "surrogatepass")
        kind = "values"
    else:
        text, kind = damage.damaged(_uncommented(template).encode(), rng), "bytes"
    file.write_bytes(text)
    command = rng.choice((("config", "check", file), ("config", "show", "-c", file)))
    done = commands.here(*command, timeout=_TIMEOUT)
    # A line for each problem of a file.
    problem = done.problem()
    if problem == "more than a screen" and len(done.err) / max(1, done.err.count("error:")) < 1000:
        problem = ""
    case = f"{command}\n{text[:1500]!r}\n{done.err[-1000:]}"
    outcome = problem or ("accepted" if done.code == 0 else "refused")
    tally.add(f"configuration, {kind}", outcome, case, fault=bool(problem))


def _uncommented(template: str) -> str:
    """Return the template with its keys set: they are behind ``# ``."""
    lines = []
    for line in template.splitlines():
        bare = line.removeprefix("# ").removeprefix("#")
        lines.append(bare if "=" in bare and bare.split("=")[0].strip().isidentifier() else line)
    return "\n".join(lines)


def _changed_tables(template: str, rng: random.Random) -> str:
    """Return a TOML file with some keys of the template, of which some have odd values."""
    import tomli_w

    tables = _keys(template)
    document: dict[str, Any] = {}
    for name in rng.sample(sorted(tables), rng.randrange(1, len(tables))):
        inner = document
        for part in filter(None, name.split(".")):
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        for key in rng.sample(tables[name], min(len(tables[name]), rng.randrange(1, 5))):
            inner[_misspelt(key, rng)] = _value(rng)
    if rng.random() < 0.1:
        document[rng.choice(("train", "data", "x", "score"))] = _value(rng)
    try:
        return tomli_w.dumps(document)
    except (TypeError, ValueError, AttributeError):
        return "x = 1"


def _keys(template: str) -> dict[str, list[str]]:
    """Return table -> its keys."""
    tables: dict[str, list[str]] = {"": []}
    table = ""
    for line in _uncommented(template).splitlines():
        if line.startswith("["):
            table = line.strip("[] ")
            tables[table] = []
        elif "=" in line and not line.startswith("#"):
            tables[table].append(line.split("=")[0].strip())
    return tables


def _misspelt(key: str, rng: random.Random) -> str:
    if rng.random() < 0.85 or not key:
        return key
    at = rng.randrange(len(key))
    return rng.choice((key[:at] + key[at + 1 :], key + "s", key.upper(), key[::-1], key + " ", ""))


def _value(rng: random.Random) -> Any:
    plain = [value for value in damage.STRANGE if value is not None]
    texts = ("digits", "mnist", "auto", "cpu", "~", "~nobody/x", "/", "a,b", "1e9", "ü", "a\nb")
    numbers = (0, 1, 2, 8, 0.5, 1e-9, 1e9, -1.5, 2**31)
    return rng.choice((rng.choice(plain), rng.choice(texts), rng.choice(numbers)))


def _command_line(folder: Path, rng: random.Random, tally: sweep.Tally) -> None:
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    shutil.copytree(folder / "whole", work / "results")
    shutil.copytree(folder / "pictures", work / "pictures")
    (work / "run.toml").write_text("[train]\nepochs = 1\n", encoding="utf-8")
    words = _words(rng)

    def before() -> None:
        import os

        os.chdir(work)

    done = commands.bigan(*words, timeout=_TIMEOUT, before=before, stdin=b"pictures\n\xff\x00\n")
    problem = done.problem()
    if problem == "more than a screen" and words[:2] == ["config", "show"]:
        problem = ""
    if problem == "failed without a message" and '"problems": [' in done.out:
        problem = ""  # config check --json has the messages in its result
    outcome = problem or ("done" if done.code == 0 else f"exit code {done.code}")
    case = f"bigan {words}\n{done.err[-1000:]}"
    tally.add(f"command line, {words[0]}", outcome, case, fault=bool(problem))


def _words(rng: random.Random) -> list[str]:
    weights = list(_COMMANDS.values())
    (command,) = rng.choices(list(_COMMANDS), weights)
    words = list(command)
    if command[0] == "train":
        words += ["--epochs", "1", "--set", "train.max_epoch_steps=1"]
    options = _options_of(command[:2] if command[:2] in _GROUPS else command[:1])
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        name = rng.choice(options)
        words.append(_misspelt(name, rng) if rng.random() < 0.1 else name)
        if rng.random() < 0.85:
            words.append(_word(rng))
    words += [_word(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
    # No other machine is asked for data, and nothing is looked for in the whole file system.
    return ["x" if word in ("/", "~", "/proc") else word.replace("\x00", "x") for word in words]


_GROUPS = {
    *(("config", name) for name in ("show", "check", "init", "keys")),
    *(("plugins", "check"), ("data", "check")),
}
_KNOWN: dict[Sequence[str], list[str]] = {}


def _options_of(command: Sequence[str]) -> list[str]:
    """Return the options of a command, as its help lists them."""
    if command not in _KNOWN:
        words = commands.bigan(*command, "--help").out.replace(",", " ").replace("/", " ").split()
        names = {word for word in words if word.startswith("--") and len(word) > 2}
        _KNOWN[command] = sorted({"--help", "--json", "-q", "--debug", *names} - {"--download"})
    return _KNOWN[command]


def _word(rng: random.Random) -> str:
    known = (
        *("results", "pictures", "pictures/000.png", "run.toml", "results/config.toml", "missing"),
        *("results/models/best.safetensors", "results/models", "out", "out.csv", "out.png", "-"),
        *("digits", "dcgan", "reconstruction", "folder", "best", "last", "1", "0", "8", "auto"),
        *("train.epochs=2", "data.inlier=[0]", "score.components=flip", "=", "a=b", "train=1"),
        *("out.gif", "x/y/z", "0.05", "28x32", "cpu", "cuda:7", "", " ", "--", "nan", "1e400"),
    )
    odd = (
        *("-1", "99999999999999999999", "inf", "ü", "\x1b[31m", "a\nb", "'", '"', "%s", "{}"),
        *("$(x)", "~nobody/x", "../..", "x" * 5000, "\udcff", "0x10", "1,2,3", "[1", "[]", "{"),
        *("train.epochs=[", "a.b.c.d=1", "data.root=/dev/null", "model.options.x=1", "*"),
        "".join(rng.choice(string.printable) for _ in range(rng.randrange(1, 12))),
    )
    return rng.choice(known if rng.random() < 0.6 else odd)


if __name__ == "__main__":
    sys.exit(main())
