"""The code blocks of the README and of every page of the documentation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# All pages of the site, and the README.
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
    ROOT / "plugins" / "README.md",
    *sorted(ROOT.glob("plugins/*/README.md")),
)
# Of blocks that are run. `toml` is checked, and `text` is output and drawings.
RUN = {"python", "sh", "yaml"}
LANGUAGES = RUN | {"toml", "text"}

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]*) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
# The first line, or the second of a script.
_FILE_NAME = re.compile(r"(?:#![^\n]*\n)?# ([\w.-]+\.(?:py|sh|toml))\n")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: What is behind its fence.
        text: Its lines.
        reason: Why it is not run; None where it is.
    """

    language: str
    text: str
    reason: str | None

    @property
    def file_name(self) -> str | None:
        """The file that it is written to, if it begins with a comment of such a name."""
        named = _FILE_NAME.match(self.text)
        return named[1] if named else None


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(found["language"], found["text"], found["reason"])


def name_of(page: Path) -> str:
    """Return the path of a page, as tests are named by it."""
    return page.relative_to(ROOT).as_posix()


def command_lines(text: str) -> list[str]:
    """Return the command lines of a shell block, without comments."""
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if shlex.split(line, comments=True)]


def bigan_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each call of ``bigan`` in a command line, which may have pipes."""
    words = shlex.split(line, comments=True)
    while "|" in words:
        border = words.index("|")
        yield from bigan_commands(shlex.join(words[:border]))
        words = words[border + 1 :]
    if words[:1] == ["bigan"]:
        yield words[1:]
