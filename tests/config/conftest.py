from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bigan_cli.config.load import load_config
from bigan_cli.errors import BiganError, ConfigError

FROGS = Path(__file__).parents[1] / "plugins" / "frogs.py"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIGAN_DATA_DIR", raising=False)
    monkeypatch.setenv("BIGAN_PLUGINS", "")  # whatever else is installed


@pytest.fixture
def run_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write ``run.toml`` here and return its name as a user would give it."""

    def write(text: str) -> Path:
        (tmp_path / "run.toml").write_text(text, encoding="utf-8")
        return Path("run.toml")

    return write


@pytest.fixture
def frogs() -> Path:
    """Return a plugin file with a dataset that has options of several types and a preset."""
    return FROGS


@pytest.fixture
def problems() -> Callable[..., list[tuple[str, str]]]:
    """Load a wrong configuration and return what is caught."""

    def collect(**given: object) -> list[tuple[str, str]]:
        with pytest.raises(BiganError) as caught:
            load_config(**given)
        assert caught.value.exit_code == 2
        if isinstance(caught.value, ConfigError):
            return list(caught.value.problems)
        return [(caught.value.message, caught.value.hint)]

    return collect
