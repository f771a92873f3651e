from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FROGS = (Path(__file__).parent / "frogs.py").read_text(encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder on sys.path that packages can be installed into."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Callable[..., Path]:
    """Install a package of one module, with the metadata that pip would write."""

    def put(plugin: str, source: str = "", package: str = "", version: str = "1.2") -> Path:
        package = package or f"bigan-{plugin}"
        module = f"plugin_{package.replace('-', '_')}"
        file = site / f"{module}.py"
        file.write_text(source or animals(plugin), encoding="utf-8")
        info = site / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[bigan]\n{plugin} = {module}\n")
        return file

    return put


@pytest.fixture
def animals_source() -> Callable[[str], str]:
    """Return the source of a healthy plugin with one dataset of this name."""
    return animals


def animals(name: str) -> str:
    return FROGS.replace("frogs", name).replace("Frogs", name.title().replace("_", ""))
