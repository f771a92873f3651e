"""The notebook runs from top to bottom."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "digits.ipynb"


@pytest.mark.filterwarnings("ignore::bigan_cli.workflows.callbacks.BiganWarning")
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    import matplotlib as mpl

    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    names = {}
    exec(compile(code.replace("EPOCHS = 60", "EPOCHS = 1"), str(NOTEBOOK), "exec"), names)
    assert len(names["flagged"]) == len(names["others"])
    names["plt"].close("all")
