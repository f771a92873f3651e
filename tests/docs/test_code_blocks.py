"""The code blocks of the README and of every page of the documentation work."""

from __future__ import annotations

import re
import shlex

import pytest
import tomli

from bigan_cli.cli.main import build_command
from tests.docs.blocks import (
    LANGUAGES,
    PAGES,
    ROOT,
    RUN,
    bigan_commands,
    blocks_of,
    command_lines,
    name_of,
)
from tests.docs.run_blocks import BlockRunner, missing_for, run_process

# The working folders of pages that need more than images of good parts.
FOLDERS = {
    "docs/deployment.md": "deployment_folder",
    "docs/scaling.md": "shared_folders",
    "plugins/bigan-hf/README.md": "hugging_face",
    "plugins/bigan-medmnist/README.md": "medmnist",
    "plugins/bigan-mvtec/README.md": "mvtec",
    "plugins/bigan-ray/README.md": "shared_folders",
    "plugins/bigan-resnet/README.md": "cifar10",
}

# Page and reason of the blocks that are marked `<!-- not run: the reason -->`.
NOT_RUN: list[tuple[str, str]] = []

ALL = [pytest.param(page, id=name_of(page)) for page in PAGES]
WITH_CODE = [
    pytest.param(page, id=name_of(page))
    for page in PAGES
    if any(block.language in RUN for block in blocks_of(page))
]


@pytest.mark.parametrize("page", ALL)
def test_every_block_has_a_known_language(page):
    blocks = list(blocks_of(page))
    fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(blocks) * 2 == len(fences)
    assert {block.language for block in blocks} <= LANGUAGES


def test_these_blocks_alone_are_not_run():
    left = [(name_of(page), block.reason) for page in PAGES for block in blocks_of(page)]
    assert [each for each in left if each[1]] == NOT_RUN


@pytest.mark.parametrize("page", ALL)
def test_every_command_exists_with_its_options(page):
    root = build_command()
    for block in blocks_of(page):
        for line in command_lines(block.text) if block.language == "sh" else ():
            for words in bigan_commands(line):
                command = root
                while words and words[0] in getattr(command, "commands", {}):
                    command = command.commands[words.pop(0)]
                known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
                used = {word.partition("=")[0] for word in words if word.startswith("-")}
                assert command is not root, line
                assert used - known - {"-", "--help", "-h"} == set(), line
            program, *words = shlex.split(line, comments=True)
            if program == "make":
                run_process(["make", "--dry-run", "--directory", str(ROOT), *words])


@pytest.mark.parametrize("page", ALL)
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
@pytest.mark.parametrize("page", WITH_CODE)
def test_the_blocks_of_a_page_run_in_order(page, request, site_packages, services, bigan):
    """Skipped if something that blocks need is missing, after the others have run."""
    request.getfixturevalue(FOLDERS.get(name_of(page), "page_folder"))
    runner = BlockRunner(bigan, services, site_packages)
    for block in blocks_of(page):
        if block.reason:
            continue
        if "s3://" in block.text and not missing_for(block):
            request.getfixturevalue("bucket")
        runner.run(block)
    if runner.left_out:
        pytest.skip(f"some blocks were not run: no {', '.join(sorted(set(runner.left_out)))}")
