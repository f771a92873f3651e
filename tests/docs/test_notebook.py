"""The notebook runs from top to bottom, in a real kernel where Jupyter is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "digits.ipynb"
JUPYTER = Path(sys.prefix) / "notebook"
"""Where ``make test-all`` installs nbclient and ipykernel, apart from the packages of bigan."""

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
for cell in notebook.cells:
    cell.source = cell.source.replace("EPOCHS = 60", "EPOCHS = 1")
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.name == "nt", reason="writes a shell script")
def test_the_notebook_runs_in_a_kernel_and_shows_its_pictures(tmp_path: Path) -> None:
    if not (JUPYTER / "nbclient").exists():
        pytest.skip("nbclient and ipykernel are not installed: make test-all")
    # As where the kernel is of another environment: its plotting backend, which MPLBACKEND
    # names, cannot be imported by the command.
    command = tmp_path / "bin" / "bigan"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nunset PYTHONPATH\nexec "{sys.executable}" -P -m bigan_cli "$@"\n'
    )
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(NOTEBOOK), "executed.ipynb"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        | {"PYTHONPATH": str(JUPYTER), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "done"
    cells = json.loads((tmp_path / "executed.ipynb").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        shown = _outputs(cell)
        if "imshow" in "".join(cell["source"]):
            assert "image/png" in shown
        if "!bigan" in "".join(cell["source"]):
            assert "error" not in shown
    assert any("AUROC" in _outputs(cell) for cell in cells)


def _outputs(cell: dict[str, Any]) -> str:
    return json.dumps(cell.get("outputs", []))


@pytest.mark.filterwarnings("ignore::bigan_cli.workflows.callbacks.BiganWarning")
def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bigan: Any
) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"]).replace("EPOCHS = 60", "EPOCHS = 1")
        if source.startswith("!bigan "):
            outcome = bigan(*source.removeprefix("!bigan ").format(**names).split())
            assert outcome.code == 0, outcome.err
        else:
            exec(compile(source, str(NOTEBOOK), "exec"), names)
    assert len(names["flagged"]) == len(names["others"])
    names["plt"].close("all")
