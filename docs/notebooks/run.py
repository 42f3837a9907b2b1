"""Runs the notebooks: `python docs/notebooks/run.py` writes what their cells give into them.

Cells are run one after another in this process, in an empty folder, as a kernel would; the last
expression of a cell is its result. `tests/test_notebooks.py` runs them too, and writes nothing.
"""

import ast
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
FORMS = (("text/html", "_repr_html_"), ("image/svg+xml", "_repr_svg_"))


def run(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A notebook with what its cells give.

    Args:
        notebook: As the file holds it.
        folder: Where its cells read and write files.

    Raises:
        Exception: Whatever a cell raises.
    """
    space: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    with contextlib.chdir(folder):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                count += 1
                outputs = list(_outputs("".join(cell["source"]), space, count))
                cell = {**cell, "execution_count": count, "outputs": outputs}
            cells.append(cell)
    return {**notebook, "cells": cells}


def _outputs(source: str, space: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        value = _value(source, space)
    if said.getvalue():
        yield {"name": "stdout", "output_type": "stream", "text": _lines(said.getvalue())}
    if value is not None:
        shown = {name: getattr(value, form)() for name, form in FORMS if hasattr(value, form)}
        data = {name: _lines(text) for name, text in shown.items()}
        plain = repr(value) if not shown else f"<{type(value).__name__}>"
        yield {
            "data": {**data, "text/plain": _lines(plain)},
            "execution_count": count,
            "metadata": {},
            "output_type": "execute_result",
        }


def _value(source: str, space: dict[str, Any]) -> Any:
    """Run a cell; the value of its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), space)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), space)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main() -> None:
    """Run every notebook beside this file, and write its outputs into it."""
    for path in sorted(HERE.glob("*.ipynb")):
        with TemporaryDirectory() as folder:
            done = run(json.loads(path.read_text(encoding="utf-8")), Path(folder))
        text = json.dumps(done, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.name}: {len(text) // 1000} kB\n")


if __name__ == "__main__":
    main()
