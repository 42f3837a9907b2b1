"""What a review found, surest first, each with its words and where they are in the paper."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from plumbrule.report.review_folder import ReviewFiles

Json = dict[str, Any]

RANKS = ("high", "fails", "medium", "model", "low", "info", "overruled")
"""How sure a finding is: those of tools that may fail a work first, what was overruled last."""

LONGEST_SECTION = 80


def review_findings(root: Json, files: ReviewFiles) -> list[Json]:
    """Everything that the reports of a review that count found wrong.

    Args:
        root: The tree as `review_content` lays it out.
        files: What the folder holds.

    Returns:
        Findings by rank and place. The same said of several places is one, with all its quotes.
    """
    found: dict[tuple[str, str, str, str], Json] = {}
    for each in _all(root, overruled=False):
        key = (each["rank"], each["specialist"], each["kind"], each["message"])
        first = found.setdefault(key, {**each, "quotes": []})
        first["quotes"] += [{**quote, "place": _place(quote, files)} for quote in each["quotes"]]
    return sorted(found.values(), key=lambda each: RANKS.index(each["rank"]))


def _all(node: Json, *, overruled: bool) -> Iterator[Json]:
    overruled |= any(
        each["action"] == "overrule" and each["standing"] == "holds" for each in node["decisions"]
    )
    for report in node["reports"]:
        if report["current"]:
            for each in _of(report):
                rank = "overruled" if overruled else each["rank"]
                yield {
                    **each, "rank": rank, "specialist": report["specialist"],
                    "task_id": node["id"], "anchor": report["anchor"],
                }  # fmt: skip
    for part in node["parts"]:
        yield from _all(part, overruled=overruled)


def _of(report: Json) -> Iterator[Json]:
    """Findings of one report: its flaws one by one, else the whole of a failure."""
    for flaw in report["flaws"]:
        names = ("kind", "message", "quotes")
        yield {"rank": flaw["severity"], **{name: flaw[name] for name in names}}
    if not report["flaws"] and report["verdict"] == "fail":
        yield {
            "rank": "model" if report["kind"] == "model" else "fails",
            "kind": "",
            "message": report["rationale"],
            "quotes": report["evidence"],
        }


def _place(quote: Json, files: ReviewFiles) -> str:
    """Section and page of words of the paper, or else their line; the name of another source."""
    if quote["source"] != "paper":
        return "not visible to a reader" if quote["source"] == "hidden" else str(quote["source"])
    at = bisect_right([each["start"] for each in files.sections], quote["start"]) - 1
    title = " ".join(str(files.sections[at]["title"]).split()) if at >= 0 else ""
    page = bisect_right(files.page_starts, quote["start"])
    places = [title[:LONGEST_SECTION]] if title else []
    places += [f"page {page}"] if page else []
    if not places and (text := files.sources.get("paper")) is not None:
        places = [f"line {text.count(chr(10), 0, quote['start']) + 1} of the text as read"]
    return ", ".join(places)
