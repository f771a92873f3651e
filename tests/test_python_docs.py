"""The examples of docs/python.md and of the notebook run, one after another."""

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bigan_cli.workflows.callbacks.BiganWarning")
def test_the_examples_of_the_python_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert "estimator" in names


@pytest.mark.filterwarnings("ignore::bigan_cli.workflows.callbacks.BiganWarning")
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    import matplotlib as mpl

    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    notebook = PAGE.parents[1] / "examples" / "digits.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    names = {}
    exec(compile(code.replace("EPOCHS = 60", "EPOCHS = 1"), str(notebook), "exec"), names)
    assert len(names["flagged"]) == len(names["others"])
    names["plt"].close("all")
