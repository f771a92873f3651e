"""Reading and writing config files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.config.load import load_config
from bigan_cli.config.reference import toml_value
from bigan_cli.config.toml import parse_value, read_toml, to_toml
from bigan_cli.errors import ConfigError

TEMPLATE = "'bigan config init' writes a template"


def refusal(path: str | Path) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        read_toml(Path(path))
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a = 1\n[train]\nlr = fast\n",
            "run.toml:3:6: invalid value\n    lr = fast\n         ^",
        ),
        (
            "x = [1,\n\n",
            "run.toml:3:1: invalid value\n    \n    ^",
        ),
        (
            "a = 1\na = 2",
            "run.toml:2:6: cannot overwrite a value\n    a = 2\n         ^",
        ),
        ("\ta\t= é é", "run.toml:1:6: invalid value\n     a = é é\n         ^"),
    ],
)
def test_a_syntax_error_is_told_with_its_line_and_a_caret(
    text: str, message: str, run_file: Callable[[str], Path]
) -> None:
    assert refusal(run_file(text))[0] == message


def test_only_a_part_of_a_long_line_is_shown(run_file: Callable[[str], Path]) -> None:
    message, _ = refusal(run_file(f"a = '{'x' * 500}' oops {'y' * 500}"))
    _, line, caret = message.splitlines()
    assert len(line) <= 4 + 80
    assert line[caret.index("^")] == "o"


@pytest.mark.parametrize("name", ["run.yaml", "run.yml", "run.json", "run.py", "RUN.YAML"])
def test_another_format_is_refused_by_its_name(name: str) -> None:
    assert refusal(name) == (f"{name} is not TOML", TEMPLATE)


def test_a_missing_file() -> None:
    assert refusal("nowhere.toml") == ("nowhere.toml does not exist", TEMPLATE)


def test_a_folder_is_not_a_run_file(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert refusal("runs") == ("runs is a folder, not a TOML file", TEMPLATE)
    (tmp_path / "runs" / "config.toml").write_text("")
    assert refusal("runs")[1] == f"did you mean '{Path('runs/config.toml')}'?"


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    assert refusal("run.toml")[0] == "run.toml:2: not UTF-8 text, which TOML must be"


def test_what_other_editors_write_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes("\ufeffa = 'é'\r\nb = 1\r\n".encode())
    assert read_toml(tmp_path / "run.toml") == {"a": "é", "b": 1}


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "x = " + "9" * 5000])
def test_a_hostile_file_is_refused_in_words(text: str, run_file: Callable[[str], Path]) -> None:
    assert refusal(run_file(text))[0].startswith("run.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("5.0", 5.0),
        ("2e-4", 2e-4),
        ("true", True),
        ("True", "True"),
        ("adam", "adam"),
        ("'5'", "5"),
        ('["a", 1]', ["a", 1]),
        ("{ a = 1 }", {"a": 1}),
        ("cuda:1", "cuda:1"),
        ("~/data/my set", "~/data/my set"),
        ("1990-01-01", "1990-01-01"),
        ("12:30:00", "12:30:00"),
        ("1\nb = 2", "1\nb = 2"),
        ("[1, 2", "[1, 2"),
        ("", ""),
    ],
)
def test_values_on_the_command_line(text: str, value: object) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


JSON = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab.-_é ", min_size=1), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(value=JSON)
def test_any_toml_value_can_be_set(value: Any) -> None:
    assert parse_value(toml_value([value])) == [value]


def test_written_files_hold_every_key_that_has_a_value() -> None:
    written = tomli.loads(to_toml(load_config().config))
    assert set(written) == {"schema", "plugins", "data", "model", "train", "score", "output"}
    assert "root" not in written["data"]
    assert written["model"]["options"]["spectral_norm"] is False


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_a_named_pipe_is_read_only_while_something_writes_to_it(tmp_path: Path) -> None:
    pipe = tmp_path / "run.toml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="a named pipe that nothing writes to"):
        read_toml(pipe)
    # As in a shell: bigan config check <(command).
    reader, writer = os.pipe()
    os.write(writer, b"x = 1\n")
    os.close(writer)
    assert read_toml(Path(f"/dev/fd/{reader}")) == {"x": 1}
    os.close(reader)
