"""The code blocks of the README and of every page of the documentation work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli

from bigan_cli.cli.main import build_command

ROOT = Path(__file__).parents[2]


# All pages of the site, and the README.
FILES = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
    ROOT / "plugins" / "README.md",
    *sorted(ROOT.glob("plugins/*/README.md")),
)
LANGUAGES = {"python", "sh", "toml", "text"}

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]*) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: The page that it is on.
        language: What is behind its fence.
        text: Its lines.
        reason: Why it cannot be run; None where it can.
    """

    page: Path
    language: str
    text: str
    reason: str | None

    @property
    def file_name(self) -> str | None:
        """The file that it is written to, if its first line is a comment of such a name."""
        named = re.match(r"# ([\w.-]+\.(?:py|toml))\n", self.text)
        return named[1] if named else None

    @property
    def lines(self) -> list[str]:
        """The command lines of a shell block, without comments."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in joined.splitlines() if shlex.split(line, comments=True)]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(page, found["language"], found["text"], found["reason"])


def name_of(page: Path) -> str:
    """Return the path of a page, as tests are named by it."""
    return page.relative_to(ROOT).as_posix()


def bigan_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each call of ``bigan`` in a command line, which may have pipes."""
    words = shlex.split(line, comments=True)
    while "|" in words:
        border = words.index("|")
        yield from bigan_commands(shlex.join(words[:border]))
        words = words[border + 1 :]
    if words[:1] == ["bigan"]:
        yield words[1:]


PAGES = [pytest.param(page, id=name_of(page)) for page in FILES]
RUN = [
    pytest.param(page, id=name_of(page))
    for page in FILES
    if any(block.reason is None and block.language != "text" for block in blocks_of(page))
]

# Options that make a training short. They replace those of the page.
FEW_EPOCHS = ("--epochs", "2", "--save-interval", "2", "--device", "cpu")
SMALL_NETWORKS = ("--latent-dim", "8", "--feature-maps-gen", "4", "--feature-maps-disc", "4")
FEW_STEPS = (
    *("--image-size", "96", "--fpr", "0.2", "--no-self-test"),
    *("--set", "train.min_epoch_steps=4", "--set", "train.max_epoch_steps=4"),
    *("--set", "data.folds=2", "--set", "output.preview_images=2"),
)
SMALL_BENCHMARK = (
    *("--device", "cpu", "--jobs", "2", "--set", "train.epochs=1", "--set", "model.latent_dim=8"),
    *("--set", "model.options.feature_maps_gen=4", "--set", "model.options.feature_maps_disc=4"),
)
# Without a download.
DATASETS = {"mnist": "digits", "fashion_mnist": "digits", "Ankle boot": "9"}
# The name of a package, perhaps with extras, as an argument of pip.
_REQUIREMENT = re.compile(r"[a-z][a-z-]*(\[[a-z,]+\])?")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_known_language_and_every_exception_a_reason(page):
    text = page.read_text(encoding="utf-8")
    blocks = list(blocks_of(page))
    assert len(blocks) * 2 == len(re.findall(r"^ *```", text, re.MULTILINE))
    assert {block.language for block in blocks} <= LANGUAGES
    reasons = [block.reason for block in blocks if block.reason is not None]
    assert len(reasons) == len(re.findall("^<!-- not run", text, re.MULTILINE))
    assert all(len(reason.split()) >= 2 for reason in reasons)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists_with_its_options(page):
    """Also in blocks that cannot be run here."""
    root = build_command()
    for block in blocks_of(page):
        for line in block.lines if block.language == "sh" else ():
            for words in bigan_commands(line):
                command = root
                while words and words[0] in getattr(command, "commands", {}):
                    command = command.commands[words.pop(0)]
                known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
                used = {word.partition("=")[0] for word in words if word.startswith("-")}
                assert command is not root, line
                assert used - known - {"-", "--help", "-h"} == set(), line
            program, *words = shlex.split(line, comments=True)
            if program == "python" and "/" in words[0]:
                assert (ROOT / words[0]).is_file(), line
            if program == "make":
                done(["make", "--dry-run", "--directory", str(ROOT), *words])


@pytest.mark.parametrize("page", PAGES)
def test_every_toml_block_is_valid(page, tmp_path, bigan):
    for block in blocks_of(page):
        if block.language == "toml":
            tables = tomli.loads(block.text).keys() - {"plugins"}
            if tables and tables <= {"data", "model", "train", "score", "output"}:
                (tmp_path / "run.toml").write_text(block.text, encoding="utf-8")
                check = ["config", "check", tmp_path / "run.toml"]
                if not block.text.count("plugins = "):
                    outcome = bigan(*check)
                    assert outcome.code == 0, outcome.err


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore::bigan_cli.workflows.callbacks.BiganWarning")
@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run_in_order(page, request, site_packages, services, bigan):
    request.getfixturevalue("line" if page.name == "deployment.md" else "here")
    names: dict[str, Any] = {}
    for block in blocks_of(page):
        if block.reason is not None:
            continue
        if block.file_name:
            Path(block.file_name).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, str(page), "exec"), names)
        elif block.language == "sh":
            for line in block.lines:
                run(line, site_packages, services, bigan)


def run(line: str, site_packages: Path, services: Any, bigan: Callable[..., Any]) -> None:
    """Run one command line of a page."""
    program, *words = shlex.split(line, comments=True)
    if program in ("make", "."):
        return  # the test of commands tries make; the environment is active here
    if "|" in words:
        bin_folder = Path(sys.executable).parent
        command = ["bash", "-o", "pipefail", "-c", line]
        path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
        done(command, {"PATH": path})
    elif program == "bigan" and words[0] in ("serve", "watch"):
        getattr(services, words[0])(words)
    elif program == "bigan":
        outcome = bigan(*shortened(words))
        assert outcome.code == 0, f"{line}\n{outcome.out}\n{outcome.err}"
    elif program == "curl":
        asked = [word.replace(":8000/", f":{services.port}/") for word in words]
        done(["curl", "--fail", "--silent", "--show-error", *asked])
    else:
        done([sys.executable, *python_words(program, words, site_packages)])


def python_words(program: str, words: list[str], site_packages: Path) -> list[str]:
    """Return the arguments of Python that run a program; what it installs goes to a folder.

    Packages that are installed by name must be here already, extras included.
    """
    if program == "pip" and all(_REQUIREMENT.fullmatch(word) for word in words[1:]):
        return ["-m", "pip", words[0], "--quiet", "--no-index", *words[1:]]
    if program == "pip":
        offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        return ["-m", "pip", words[0], *offline, "--target", str(site_packages), *words[1:]]
    return {
        "python": words,
        "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
    }[program]


def done(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a process, which must succeed."""
    result = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


def shortened(words: list[str]) -> list[str]:
    """Return the words of a call of ``bigan`` that takes seconds."""
    words = [DATASETS.get(word, word) for word in words]
    if "examples/mnist.toml" in words:
        words += ["--dataset", "digits"]
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
    if words[0] == "benchmark":
        return [*words, *SMALL_BENCHMARK]
    if words[0] != "train" or {"--help", "--resume"} & set(words):
        return words
    if any(word.endswith("/config.toml") for word in words):
        return words  # of a run that was short
    if "--architecture" in words:
        return [*words, *FEW_EPOCHS]
    photographs = "folder" in words or ("--data-root" in words and "--plugin" not in words)
    return [*words, *FEW_EPOCHS, *(FEW_STEPS if photographs else SMALL_NETWORKS)]
