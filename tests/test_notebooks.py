"""The notebooks in the documents run, and what they show is what their cells give."""

import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent / "docs" / "notebooks"

spec = importlib.util.spec_from_file_location("notebooks_run", HERE / "run.py")
assert spec is not None
assert spec.loader is not None
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


def kinds(notebook):
    """What each cell gives: text that was printed, and the forms of its result."""
    return [
        [each.get("name") or sorted(each["data"]) for each in cell.get("outputs", ())]
        for cell in notebook["cells"]
    ]


@pytest.mark.parametrize("path", sorted(HERE.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_and_gives_what_it_shows(path, tmp_path):
    notebook = json.loads(path.read_text(encoding="utf-8"))

    done = notebooks.run(notebook, tmp_path)

    assert kinds(done) == kinds(notebook)
    assert any(kinds(notebook))


def test_a_cell_shows_what_it_prints_and_its_last_expression(tmp_path):
    cell = {"cell_type": "code", "metadata": {}, "source": ["x = 2\n", "print('a')\n", "x + 1"]}

    [done] = notebooks.run({"cells": [cell]}, tmp_path)["cells"]

    assert [each["output_type"] for each in done["outputs"]] == ["stream", "execute_result"]
    assert done["outputs"][0]["text"] == ["a\n"]
    assert done["outputs"][1]["data"] == {"text/plain": ["3"]}
    with pytest.raises(ZeroDivisionError):
        notebooks.run({"cells": [{**cell, "source": ["1 / 0"]}]}, tmp_path)
