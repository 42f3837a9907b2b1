"""Write a report: the record as JSON, and the page that shows the same record."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.report.text import json_text
from plumbrule.store import write_atomic


def write_report(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from one record.

    The page is made from what `report.json` holds and from nothing else; the same record gives
    the same bytes.

    Args:
        content: The record, as `docs/report.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.page import render  # imports Jinja, which `plumbrule --help` can spare

    _write(content, folder, render)


def write_comparison(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of one comparison of two models.

    Like `write_report`, with the page that says what changed, what was not confirmed, and what
    may have stayed unseen.

    Args:
        content: The record, as `docs/report.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.comparison import render  # as above

    _write(content, folder, render)


def write_verdict(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of a verdict on a model's principles.

    Args:
        content: The record, as `docs/verdict.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.verdict import render  # as above

    _write(content, folder, render)


def write_runs(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of finished runs side by side.

    Args:
        content: The record, as `docs/recipes.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.runs import render  # as above

    _write(content, folder, render)


def write_production(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of a watch of a model in use.

    Args:
        content: The record, as `docs/watch.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.production import render  # as above

    _write(content, folder, render)


def write_trial(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of an A/B trial.

    Args:
        content: The record, as `docs/watch.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.production import render_trial  # as above

    _write(content, folder, render_trial)


def write_story(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of a loop, round by round.

    Args:
        content: The record, as `docs/loop.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.story import render  # as above

    _write(content, folder, render)


def write_compliance(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of an examination for compliance.

    Args:
        content: The record, as `docs/comply.md` describes it; every part of it may be missing.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.compliance import render  # as above

    _write(content, folder, render)


def write_features(content: Mapping[str, Any], folder: Path) -> None:
    """Write `report.json` and `index.html` from the record of a dictionary and its features.

    Args:
        content: The record, as `docs/features.md` describes it.
        folder: Where both files go; made if it is not there.

    Raises:
        DataError: The record holds what JSON cannot. Neither file is touched.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    from plumbrule.report.features import render  # as above

    _write(content, folder, render)


def _write(
    content: Mapping[str, Any], folder: Path, render: Callable[[Mapping[str, Any]], str]
) -> None:
    text = report_json(content)
    page = render(json.loads(text))
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
