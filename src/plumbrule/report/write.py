"""Write a report: the record as JSON, and the page that shows the same record."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.report.text import json_text
from plumbrule.store import write_atomic

PAGES = {
    "run": "page.render",
    "comparison": "comparison.render",
    "verdict": "verdict.render",
    "runs": "runs.render",
    "production": "production.render",
    "trial": "production.render_trial",
    "features": "features.render",
    "compliance": "compliance.render",
    "red_team": "red_team.render",
    "loop": "story.render",
}
"""Each kind of page, and the function in `plumbrule.report` that draws it."""


def write_page(kind: str, content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from one record.

    The page is made from what `report.json` holds and from nothing else; the same record gives
    the same bytes.

    Args:
        kind: `run`, `comparison` of two models, `verdict` on a model's principles, `runs` side
            by side, `production` (a watch of a model in use), `trial` of two arms, `features` of
            a dictionary, `compliance` of a model with a constitution, `red_team`,
            or `loop` of finding and mending.
        content: The record, as the document of that kind describes it (`docs/report.md`,
            `verdict.md`, `recipes.md`, `watch.md`, `features.md`, `comply.md`, `redteam.md`,
            `loop.md`). Every part of it may be missing, except of features.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: There is no such kind, or the record holds what JSON cannot. Neither file is
            touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    if kind not in PAGES:
        raise DataError(f"expected a kind of page among {', '.join(PAGES)}; received {kind!r}")
    text = report_json(content)
    module, function = PAGES[kind].split(".")
    # What draws a page imports Jinja, which `plumbrule --help` can spare.
    render = getattr(import_module(f"plumbrule.report.{module}"), function)
    page: str = render(json.loads(text))
    write_atomic(folder / "report.json", text)
    write_atomic(folder / "index.html", page)


def report_json(content: Mapping[str, Any]) -> str:
    """Write the record as JSON that depends on the record alone, indented for people.

    Raises:
        DataError: A value is not finite, or is nothing that JSON has a form for.
    """
    try:
        text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            "a report holds text, finite numbers, yes and no, lists and mappings; "
            f"what came cannot be written: {error}. Turn records into JSON with to_json, and "
            "write what is not known as null with its reason."
        ) from error
    return json_text(text) + "\n"
