"""The record behind the page of a review: everything that it shows, and nothing besides."""

import shlex
from collections.abc import Iterator
from typing import Any

from plumbrule.report.passages import QuotedPassage, places, source_view
from plumbrule.report.review_findings import review_findings
from plumbrule.report.review_folder import ReviewFiles

Json = dict[str, Any]
COSTS = ("seconds", "tokens", "calls", "dollars", "human_minutes")


def review_content(files: ReviewFiles) -> Json:
    """Lay out a review for its page.

    Args:
        files: What the folder holds.

    Returns:
        Summary, tree, texts and cost; it can be written as JSON.
    """
    quotes = [
        quote for found in files.reports.values() for each in found for quote in each["evidence"]
    ]
    marks = places(quotes)
    view = _TreeLayout(files, marks)
    root = view.node(files.manifest["task"], parent=None)
    verdict = files.verdict
    by_source: dict[str, list[QuotedPassage]] = {}
    for mark in marks.values():
        by_source.setdefault(mark.source, []).append(mark)
    return {
        "form": "review",
        "title": files.manifest["task"]["asks"],
        "review_id": (verdict or {}).get("review_id"),
        "outcome": verdict["outcome"] if verdict else None,
        "because": list(verdict["because"]) if verdict else [],
        "probability": verdict["probability"] if verdict else None,
        "tally": verdict["tally"] if verdict else None,
        "decisions": [view.decision(each) for each in files.decisions],
        "findings": review_findings(root, files),
        "not_checked": view.not_checked(root),
        "coverage": _coverage(verdict, view.anchors),
        "cost": _costs(files),
        "over_budget": list(verdict["over_budget"]) if verdict else [],
        "head": files.head,
        "verify": _command(files),
        "tree": root,
        "sources": sorted(
            (
                source_view(name, files.sources[name], sha256, by_source.get(name, []), view.back)
                for name, sha256 in files.manifest["sources"].items()
            ),
            key=lambda each: (not each["quotes"], each["hidden_words"], -each["quotes"]),
        ),
        "settings": {
            name: files.manifest.get(name)
            for name in ("specialists", "decomposition", "rule", "budget", "depth", "seed")
        },
    }


class _TreeLayout:
    """Numbers nodes, reports and quotes while it lays them out."""

    def __init__(
        self, files: ReviewFiles, marks: dict[tuple[str, int, int], QuotedPassage]
    ) -> None:
        self._files = files
        self._marks = marks
        states = files.verdict["states"] if files.verdict else []
        self._states: dict[str, Json] = {each["task_id"]: each for each in states}
        self._reports = 0
        self.anchors: dict[str, str] = {}
        """Anchor of each task's node."""

        self.back: dict[str, list[str]] = {}
        """Anchors of what quotes a mark, by the mark's anchor."""

    def node(self, task: Json, *, parent: Json | None) -> Json:
        """A task with its reports, decisions and parts.

        Args:
            task: As the manifest or its parent's plan has it.
            parent: State of the node above; None at the root.
        """
        name = task["id"]
        anchor = self.anchors.setdefault(name, f"n{len(self.anchors) + 1}")
        state, plan = self._states.get(name), self._files.plans.get(name, {})
        found = self._files.reports.get(name, [])
        latest = {each["specialist"]: each["id"] for each in found}
        reports = [self._report(each, latest, state) for each in found]
        parts = [self.node(part, parent=state) for part in plan.get("parts", ())]
        planning = plan.get("cost", {})
        own = _total([planning, *(each["cost"] for each in found)])
        said = [each for each in self._files.decisions if each["task_id"] == name]
        own["human_minutes"] += sum(each["human_minutes"] for each in said)
        return {
            "id": name,
            "name": name.rpartition("/")[2],
            "anchor": anchor,
            "asks": task["asks"],
            "required": task["required"],
            "dimensions": list(task["dimensions"]),
            "outcome": state["outcome"] if state else None,
            "derived": state["derived"] if state else None,
            "probability": state["probability"] if state else None,
            "because": list(state["because"]) if state else [],
            "contribution": _contribution(parent, name),
            "trouble": plan.get("trouble"),
            "reports": reports,
            "decisions": [self.decision(each) for each in said],
            "cost": _total([own, *(part["cost"] for part in parts)]),
            "parts": parts,
        }

    def _report(self, report: Json, latest: dict[str, str], state: Json | None) -> Json:
        self._reports += 1
        anchor = f"r{self._reports}"
        evidence = []
        for number, quote in enumerate(report["evidence"], 1):
            mark = self._marks[quote["source"], quote["start"], quote["end"]]
            here = f"{anchor}e{number}"
            self.back.setdefault(mark.anchor, []).append(here)
            text = self._files.sources.get(quote["source"])
            stands = text is not None and text[mark.start : mark.end] == quote["text"]
            evidence.append({**quote, "anchor": here, "mark": mark.anchor, "stands": stands})
        names = ("id", "specialist", "version", "kind", "round", "verdict", "confidence",
                 "confidence_reason", "rationale", "failure", "cost")  # fmt: skip
        return {
            **{name: report[name] for name in names},
            "anchor": anchor,
            "not_checked": list(report["not_checked"]),
            "current": latest[report["specialist"]] == report["id"],
            "evidence": evidence,
            "flaws": _flaws(report, evidence),
            "contribution": _contribution(state, report["id"]),
        }

    def decision(self, decision: Json) -> Json:
        """What a person decided, and whether it still holds."""
        state = self._states.get(decision["task_id"])
        names = ("number", "person", "action", "outcome", "text", "task_id", "human_minutes")
        return {
            **{name: decision[name] for name in names},
            "asked": list(decision["asked"]),
            "anchor": self.anchors.get(decision["task_id"]),
            "standing": _standing(decision, state),
        }

    def not_checked(self, root: Json) -> list[Json]:
        """What nobody judged, from the reports that count."""
        return [
            {
                "anchor": report["anchor"],
                "task_id": node["id"],
                "specialist": report["specialist"],
                "failure": report["failure"],
                "reason": reason,
            }
            for node in walk(root)
            for report in node["reports"]
            if report["current"]
            for reason in report["not_checked"]
        ]


def walk(node: Json) -> Iterator[Json]:
    """A node and all beneath, parents first."""
    yield node
    for part in node["parts"]:
        yield from walk(part)


def _flaws(report: Json, evidence: list[Json]) -> list[Json]:
    """What a report found wrong, each with its quotes as they are in the report's evidence."""
    places = {(each["source"], each["start"], each["end"]): each for each in evidence}
    return [
        {
            **flaw,
            "quotes": [
                places[each["source"], each["start"], each["end"]] for each in flaw["quotes"]
            ],
        }
        for flaw in report.get("flaws", ())
    ]


def _standing(decision: Json, state: Json | None) -> str:
    """What became of a decision."""
    if state is None:
        return "not known"
    if decision["id"] in state["lapsed"]:
        return "lapsed"
    if decision["action"] == "send back":
        return "asked"
    holds = decision["id"] in (state["overruled_by"], state["accepted_by"])
    return "holds" if holds else "replaced"


def _contribution(state: Json | None, child: str) -> Json | None:
    """How a report or part moved the node that a state is of."""
    for each in (state or {}).get("contributions", ()):
        if each["child"] == child:
            return {name: each[name] for name in ("log_odds", "without", "alone", "decisive")}
    return None


def _coverage(verdict: Json | None, anchors: dict[str, str]) -> list[Json]:
    return [
        {
            "dimension": each["dimension"],
            "declared": [
                {"task_id": name, "anchor": anchors.get(name)} for name in each["declared"]
            ],
            "checked": list(each["checked"]),
        }
        for each in (verdict or {}).get("coverage", ())
    ]


def _costs(files: ReviewFiles) -> Json:
    """What the review took, in all and by who caused it."""
    found = [each for listed in files.reports.values() for each in listed]
    parts = {
        kind: _total([each["cost"] for each in found if each["kind"] == kind])
        for kind in ("tool", "model", "person")
    }
    parts["cutting into parts"] = _total([plan["cost"] for plan in files.plans.values()])
    minutes = sum(each["human_minutes"] for each in files.decisions)
    parts["decisions"] = _total([{"human_minutes": minutes}])
    return {
        "total": _total(list(parts.values())),
        "by": [{"who": name, **cost} for name, cost in parts.items() if any(cost.values())],
    }


def _total(costs: list[Json]) -> Json:
    return {name: sum(each.get(name, 0) for each in costs) for name in COSTS}


def _command(files: ReviewFiles) -> str:
    head = f" --expected-head {shlex.quote(files.head)}" if files.head else ""
    return f"plumbrule review --verify {shlex.quote(files.name)}{head}"
