"""How soon help and completion answer with 50 plugins installed, against none.

The plugins are packages of one module with real metadata, found as pip's are. Each marks that
it was imported, so the benchmark also counts imports.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from children import bigan, run
from harness import Benchmark, Figures, Target, arguments
from startup import completing

PLUGINS = 50
HELP = ["--help"]
COMPLETION = "bigan train --ep"
LISTING = ["datasets"]
SOURCE = """
import os
from pathlib import Path
from bigan_cli.contracts import Dataset
from bigan_cli.hookspecs import hookimpl

Path(os.environ["IMPORTED"], {name!r}).touch()


class Frogs(Dataset):
    name = {name!r}
    summary = "frogs"

    def train_items(self): ...
    def test_items(self): ...


@hookimpl
def bigan_datasets():
    return [Frogs]
"""


def main() -> int:
    """Run the benchmark."""
    options = arguments(__doc__, repeats=15).parse_args()
    if options.quick:
        options.repeats = min(options.repeats, 3)
    benchmark = Benchmark(
        "plugins_startup",
        "Start-up with plugins installed",
        options,
        {"plugins": PLUGINS},
        {"wall": "s", "imports": "plugins"},
    )
    with tempfile.TemporaryDirectory() as folder:
        places = {0: Path(folder, "none"), PLUGINS: Path(folder, "many")}
        for count, place in places.items():
            install(place, count)
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            "bigan --help": (bigan(*HELP), {}),
            f"completion of '{COMPLETION}'": (bigan(), completing(COMPLETION)),
            "bigan datasets": (bigan(*LISTING), {}),
        }
        contenders = {
            titled(name, count): counted(command, place, environment)
            for name, (command, environment) in commands.items()
            for count, place in places.items()
        }
        benchmark.interleave(contenders, discarded=1)
    for name in commands:
        many, none = titled(name, PLUGINS), titled(name, 0)
        quick = name != "bigan datasets"
        benchmark.ratio(many, none, "wall", Target(most=1.2) if quick else None)
        imports = benchmark.runs(many, "imports")
        benchmark.check(f"imports of {many}", imports, "plugins", Target(most=0) if quick else None)
    benchmark.note("'bigan datasets' lists what they provide, so it imports all of them.")
    return benchmark.finish()


def titled(name: str, count: int) -> str:
    """Return what a contender is called."""
    return f"{name}, {count} plugins"


def install(place: Path, count: int) -> None:
    """Install *count* packages into the folder *place*, with the metadata that pip writes."""
    (place / "imported").mkdir(parents=True)
    for number in range(count):
        name = f"frogs{number:02}"
        (place / f"bigan_{name}.py").write_text(SOURCE.format(name=name), encoding="utf-8")
        info = place / f"bigan_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: bigan-{name}\nVersion: 1.0\n", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(
            f"[bigan]\n{name} = bigan_{name}\n", encoding="utf-8"
        )


def counted(
    command: list[str], place: Path, environment: Mapping[str, str]
) -> Callable[[], Figures]:
    """Return what runs *command* once and returns its wall time and the plugins imported."""
    imported = place / "imported"
    root = Path(__file__).resolve().parents[1]
    where = {
        "PYTHONPATH": f"{place}{os.pathsep}{root}",
        "IMPORTED": str(imported),
        **environment,
    }

    def once() -> Figures:
        for mark in imported.iterdir():
            mark.unlink()
        seconds = run(command, environment=where).seconds
        return {"wall": seconds, "imports": len(list(imported.iterdir()))}

    return once


if __name__ == "__main__":
    sys.exit(main())
