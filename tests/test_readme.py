"""The commands and examples of the README work."""

import re
from pathlib import Path

import pytest
from PIL import Image

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def frogs(tmp_path):
    for folder, count in (("train/frog", 100), ("test/frog", 6), ("test/toad", 6)):
        (tmp_path / "frogs" / folder).mkdir(parents=True)
        for number in range(count):
            colour = (number, 200 - number, len(folder)) if "frog" in folder else (90, 60, 20)
            Image.new("RGB", (20, 16), colour).save(
                tmp_path / "frogs" / folder / f"{number:02}.jpg"
            )


def test_the_plugin_example_works_as_it_stands(bigan, frogs, tmp_path, monkeypatch, small_frogs):
    monkeypatch.chdir(tmp_path)
    (code,) = (block for block in blocks("python") if "bigan_datasets" in block)
    Path("bigan_frogs.py").write_text(code, encoding="utf-8")
    words = re.search(r"`bigan (train --plugin .*?)`", README)[1].split()
    outcome = bigan(*words, *small_frogs)
    assert outcome.code == 0, outcome.err
    assert "normal is frog" in outcome.err


@pytest.fixture
def small_frogs():
    maps = ["--feature-maps-gen", "4", "--feature-maps-disc", "4"]
    return [*maps, "--image-size", "16", "--input-channels", "3", "--epochs", "1"]


def test_every_command_in_the_readme_is_one(bigan):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = {words[1] for words in map(str.split, lines) if words[:1] == ["bigan"]}
    assert commands >= {"train", "evaluate", "score", "reconstruct", "animate"}
    for command in commands:
        outcome = bigan(command, "--help")
        assert outcome.code == 0
        for line in lines:
            if line.startswith(f"bigan {command} "):
                for option in re.findall(r" (--[a-z-]+)", line.split("#")[0]):
                    assert option in outcome.out, line
