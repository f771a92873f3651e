"""``bigan env``."""

from __future__ import annotations

import json
import platform

import torch

import bigan_cli


def test_json_holds_what_a_report_needs(bigan, monkeypatch, tmp_path):
    (tmp_path / "MNIST").mkdir()
    monkeypatch.setenv("BIGAN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("A_SECRET_TOKEN", "hunter2")
    outcome = bigan("env", "--json")
    facts = json.loads(outcome.out)
    assert facts["bigan"] == bigan_cli.__version__
    assert facts["python"].startswith(platform.python_version())
    assert facts["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert "cpu" in facts["torch"]["devices"]
    assert facts["torch"]["auto"] in facts["torch"]["devices"]
    assert facts["data"] == {"folder": str(tmp_path), "holds": "MNIST"}
    assert facts["environment"]["BIGAN_DATA_DIR"] == str(tmp_path)
    assert "hunter2" not in outcome.out
    assert (outcome.code, outcome.err) == (0, "")


def test_text_says_the_same(bigan, monkeypatch):
    monkeypatch.setenv("BIGAN_DATA_DIR", "/nowhere/at/all")
    facts = json.loads(bigan("env", "--json").out)
    outcome = bigan("env")
    words = " ".join(outcome.out.split())
    assert f"bigan: {bigan_cli.__version__} python: {facts['python']}" in words
    assert f"platform: {facts['platform']}" in words
    assert "folder: /nowhere/at/all holds: nothing" in words
    assert all(f"{name}: {version}" in words for name, version in facts["packages"].items())


def test_a_broken_plugin_is_named(bigan, monkeypatch):
    monkeypatch.setenv("BIGAN_PLUGINS", "no_such_plugin")
    outcome = bigan("env")
    assert "no_such_plugin: broken: " in " ".join(outcome.out.split())
    assert outcome.code == 0
