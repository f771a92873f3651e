"""docs/performance.md says what the result files say, and the scripts can be started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = [
    path
    for path in sorted((BENCHMARKS / "results").glob("*.json"))
    if not path.name.startswith("detection-")  # test_results_page.py has those
]
SCRIPTS = (
    "startup",
    "plugins_startup",
    "training",
    "epoch_end",
    "scoring",
    "latency",
    "photograph_scoring",
    "memory",
    "precision",
)


@pytest.fixture
def render(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import render

    return render


def result(**changed: object) -> dict[str, object]:
    return {
        "name": "made-up",
        "title": "Made up",
        "date": "2026-01-31T12:00:00+00:00",
        "command": "python benchmarks/made_up.py",
        "quick": False,
        "settings": {"repeats": 3},
        "machine": {"cpu": "Some CPU", "cores": 2, "memory_gib": 8.0, "os": "Some OS"},
        "versions": {"python": "3.11.7", "bigan": "0.1.0", "torch": "2.6.0"},
        "commit": {"hash": "0123456789abcdef", "dirty": False},
        "measured": [
            {
                "contender": "ours",
                "quantity": "wall",
                "unit": "s",
                "median": 1.25,
                "quartiles": [1.0, 1.5],
                "runs": [1.0, 1.25, 1.5],
            }
        ],
        "checks": [],
        "notes": [],
        **changed,
    }


def test_the_document_agrees_with_the_results():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "render.py", "--check"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_result_goes_between_its_markers(render, tmp_path):
    (tmp_path / "made-up.json").write_text(json.dumps(result()))
    text = "before\n<!-- made-up -->\nold\n<!-- /made-up -->\n<!-- other -->\n<!-- /other -->\n"
    made = render.render(text, tmp_path)
    assert "| ours | wall | 1.25 s | 1 to 1.5 | 3 |" in made
    assert "old" not in made
    assert made.startswith("before\n<!-- made-up -->\n")
    assert "Not measured yet." in made.partition("<!-- other -->")[2]
    assert render.render(made, tmp_path) == made


def test_a_missed_target_is_told(render, tmp_path):
    check = {"figure": "a / b", "unit": "x", "median": 2, "quartiles": [2, 2], "runs": [2]}
    missed = {**check, "target": "at most 1.5", "reached": False}
    (tmp_path / "made-up.json").write_text(json.dumps(result(checks=[missed])))
    made = render.render("<!-- made-up -->\n<!-- /made-up -->", tmp_path)
    assert "| a / b | 2 x | 2 to 2 | at most 1.5 | no |" in made


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_is_whole_and_private_to_nobody(path):
    text = path.read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["name"] == path.stem
    assert not found["quick"]
    assert {"date", "machine", "versions", "commit", "command", "settings"} <= set(found)
    assert all(each["runs"] for each in found["measured"])
    for private in ("/home/", "/root/", "/tmp/", "/Users/", "/work/"):
        assert private not in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_the_common_options(name):
    shown = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--help"],
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    assert {"--repeats", "--quick", "--output"} <= set(shown.replace("[", " ").split())
    assert f"`{name}.py`" in (BENCHMARKS / "README.md").read_text(encoding="utf-8")
