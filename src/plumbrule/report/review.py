"""The page of a review: the tree with its reports, the texts they quote, what a person signs."""

import base64
import hashlib
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.report.review_content import review_content
from plumbrule.report.review_folder import ReviewFiles, read_review_files
from plumbrule.report.write import report_json
from plumbrule.store import write_atomic

Json = dict[str, Any]

LONGEST_TITLE = 200
"""Characters of the question that are shown on top; the tree has all of it."""

_FAILURES = {
    "error": "crashed",
    "refusal": "declined",
    "timeout": "ran out of time",
    "budget": "did not fit the budget",
    "depth": "lay too deep",
    "absent": "had no specialist of that name",
    "evidence": "quoted words that are not in the text",
    "question": "did not speak to the question of a person",
}
_LEADS = {
    "pass": "Every required part passed, and every declared dimension was looked at.",
    "fail": "Something in it is wrong; the reasons lead to the words that show it.",
    "uncertain": "A doubt is left. It does not pass, and no reason to fail it was found.",
    "not checked": "Nobody looked, so nothing can be said.",
}


def changed_pages(folder: Path) -> list[str]:
    """Files of a review's page that are not what its other files give, or are not there.

    Raises:
        DataError: The folder holds no review, or one of its files cannot be read.
    """
    files = replace(read_review_files(folder), name=_name_then(folder))
    return [
        name
        for name, text in _pages(folder, files).items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode()
    ]


def write_review_page(folder: Path) -> Path:
    """Write the page of a review, from the files of its folder and from nothing else.

    `report/index.html` is one file that fetches nothing, `report/report.json` holds all that it
    shows. The same files give the same bytes. Whether they are what was written is not looked
    into; `verify_review` does that, and the page says how.

    Args:
        folder: A review's folder; also of one that is not finished.

    Returns:
        Where the page is.

    Raises:
        DataError: The folder holds no review, or one of its files cannot be read.
        StorageError: The disk did not take a file. Each file is either the old or the new one.
    """
    for name, text in _pages(folder, read_review_files(folder)).items():
        write_atomic(folder / name, text)
    return folder / "report" / "index.html"


def _pages(folder: Path, files: ReviewFiles) -> dict[str, str]:
    """Text of each file of the page."""
    try:
        content = review_content(files)
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(
            f"a record in {folder} is not in the form that a review writes ({error!r}); "
            "`plumbrule review --verify` tells what was done to the folder"
        ) from error
    text = report_json(content)
    return {"report/report.json": text, "report/index.html": render(json.loads(text))}


def _name_then(folder: Path) -> str:
    """What the folder was called when its page was written: the page tells how to verify it."""
    try:
        content = json.loads((folder / "report" / "report.json").read_bytes())
        return shlex.split(content["verify"])[3]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return folder.resolve().name


def render(content: Json) -> str:
    """Turn the record of a review into one HTML file that needs nothing else."""
    from plumbrule.report.templating import TEMPLATES, fill, styles

    script = (TEMPLATES / "review.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return fill(
        "review",
        content,
        "review.css",
        script=styles("review.js"),
        script_hash=f"sha256-{digest}",
        title=_title(content),
        lead=_lead(content),
        failures=_failures(content),
        gaps=_gaps(content),
        coverage=sorted(content["coverage"], key=lambda each: bool(each["checked"])),
        uncovered=", ".join(
            each["dimension"] for each in content["coverage"] if not each["checked"]
        ),
        trail=_trail(content),
    )


def _title(content: Json) -> str:
    title = str(content["title"])
    return title if len(title) <= LONGEST_TITLE else title[:LONGEST_TITLE].rstrip() + " …"


def _lead(content: Json) -> str:
    tree = content["tree"]
    if tree["outcome"] != tree["derived"]:
        return "A person overruled what the rule made of the reports."
    return _LEADS.get(content["outcome"], "The review is not finished.")


def _failures(content: Json) -> str | None:
    """Checks that did not take place, counted in words."""
    tally = content["tally"] or {}
    failures = tally.get("failures") or {}
    if not tally.get("not_checked"):
        return None
    said = [f"{count} {_FAILURES.get(name, name)}" for name, count in failures.items()]
    rest = tally["not_checked"] - sum(failures.values())
    said += [f"{rest} gave no verdict"] if rest else []
    return (
        f"{tally['not_checked']} of {tally['asked']} checks did not take place: "
        + ", ".join(said)
        + "."
    )


def _gaps(content: Json) -> list[Json]:
    """What was not checked, a report at a time; checks that failed come first."""
    found: dict[str, Json] = {}
    for each in content["not_checked"]:
        gap = found.setdefault(each["anchor"], {**each, "reasons": []})
        gap["reasons"].append(each["reason"])
    return sorted(found.values(), key=lambda each: each["failure"] is None)


def _trail(content: Json) -> list[Json]:
    """Parts that decided an outcome other than a pass, down to those without such parts."""
    if content["outcome"] in (None, "pass"):
        return []
    found, open_nodes = [], [content["tree"]]
    while open_nodes:
        node = open_nodes.pop(0)
        parts = [
            each for each in node["parts"]
            if (each["contribution"] or {}).get("decisive") and each["outcome"] != "pass"
        ]  # fmt: skip
        if not parts and node is not content["tree"]:
            found.append(node)
        open_nodes += parts
    return found[:6]
