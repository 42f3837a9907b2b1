"""What a page shows of a report: its own words, in a few forms, however much of it is missing.

A report is a file on a disk: it may be of another version, half written, or made to do harm.
Nothing here trusts its shape, and every text is cut and has its hidden characters written out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.report.numbers import estimate_text
from plumbrule.report.text import plain

LONGEST = 600
"""Characters of a text that are shown."""

MOST_LINES = 200
"""Lines of a sort that are shown of one report; how many there are is said."""


@dataclass(frozen=True, kw_only=True)
class ReportLine:
    """One thing that a report says."""

    sort: str
    """`finding`, `remedy`, `alarm`, `trial`, `verdict` or `gate`."""

    mark: str
    """In a word: a severity, a verdict, `passed` or `failed`."""

    bad: bool | None
    """Whether somebody has to look at it; None where it is neither good nor bad."""

    text: str
    more: str = ""
    """What it rests on."""


@dataclass(frozen=True, kw_only=True)
class Digest:
    """A report in short."""

    title: str
    outcome: str
    """In a few words, such as `gates passed`; empty where it has none."""

    bad: bool | None
    summary: tuple[str, ...]
    lines: tuple[ReportLine, ...]

    counts: Mapping[str, int]
    """How many lines of each sort the report has, also those that are not shown."""


def digest_of(content: object) -> Digest:
    """A report in short.

    Args:
        content: What `report.json` holds, whatever that is.
    """
    said: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
    sorts = {
        "verdict": [_verdict(each) for each in _items(_verdicts(said))],
        "alarm": [_alarm(each) for each in _items(said.get("alarms"))],
        "trial": _trial(said),
        "gate": [_gate(each) for each in _items(said.get("gates"))],
        "remedy": [_remedy(each) for each in _remedies(said)],
        "finding": [_finding(each) for each in _findings(said)] + _broken(said) + _holes(said),
    }
    outcome, bad = _outcome(said, sorts)
    return Digest(
        title=text_of(said.get("title")) or "a report without a title",
        outcome=outcome,
        bad=bad,
        summary=tuple(text_of(each) for each in _list(said.get("summary"))[:MOST_LINES]),
        lines=tuple(line for lines in sorts.values() for line in lines[:MOST_LINES]),
        counts={sort: len(lines) for sort, lines in sorts.items() if lines},
    )


def text_of(value: object, most: int = LONGEST) -> str:
    """A value as text that is safe to show: cut, hidden characters written out; None is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        said = value
    elif isinstance(value, bool | int | float):
        said = str(value)
    else:
        return ""
    return plain(said if len(said) <= most else said[:most].rstrip() + " …")


def _outcome(
    said: Mapping[str, Any], sorts: Mapping[str, Sequence[ReportLine]]
) -> tuple[str, bool | None]:
    standing = [line for line in sorts["alarm"] if line.bad]
    if standing:
        return f"{len(standing)} alarm{'s' * (len(standing) > 1)} standing", True
    passed = said.get("gates_passed", said.get("gates_hold"))
    if isinstance(passed, bool):
        return ("gates passed", False) if passed else ("a gate failed", True)
    if sorts["trial"]:
        return sorts["trial"][0].mark, sorts["trial"][0].bad
    faked = [line for line in sorts["verdict"] if line.bad]
    if sorts["verdict"]:
        return f"{len(faked)} of {len(sorts['verdict'])} principles not held", bool(faked)
    count = len(sorts["finding"])
    return (f"{count} finding{'s' * (count > 1)}", True) if count else ("", None)


def _verdicts(said: Mapping[str, Any]) -> object:
    inner = said.get("verdicts")
    return inner.get("verdicts") if isinstance(inner, Mapping) else inner


def _verdict(each: Mapping[str, Any]) -> ReportLine:
    label = text_of(each.get("label"), 40)
    why = [text_of(each.get("why") or each.get("reason"))]
    named = text_of(each.get("named"), 120)
    why += [f"it hangs on: {named}"] if named else []
    why += [text_of(each.get("needed"))] if label == "undecided" else []
    return ReportLine(
        sort="verdict",
        mark=label or "undecided",
        bad=label in ("surface", "conditional", "absent"),
        text=text_of(each.get("principle"), 120),
        more=" ".join(filter(None, why)),
    )


def _alarm(each: Mapping[str, Any]) -> ReportLine:
    name, kind = text_of(each.get("principle_id"), 120), each.get("kind")
    what = f"{name} is broken more often than it was meant to be"
    if kind == "judge":
        what = f"the judge has changed under {name}"
    handled = bool(each.get("handled"))
    place, cause = text_of(each.get("at"), 20), text_of(each.get("cause"), 40)
    more = [f"at conversation {place}" if place else "", f"cause: {cause}" if cause else ""]
    return ReportLine(
        sort="alarm",
        mark="dealt with" if handled else "stands",
        bad=not handled,
        text=what,
        more=", ".join(filter(None, more)),
    )


def _trial(said: Mapping[str, Any]) -> list[ReportLine]:
    if not isinstance(said.get("plan"), Mapping) or "arms" not in said:
        return []
    decision = said.get("decision")
    arms = ", ".join(
        f"{text_of(each.get('what'), 60)}: {text_of(each.get('count'), 20)}"
        for each in _items(said.get("arms"))
    )
    if not isinstance(decision, Mapping):
        return [
            ReportLine(
                sort="trial", mark="not decided yet", bad=None, text=arms or "no traffic yet"
            )
        ]
    action = text_of(decision.get("action"), 60)
    return [
        ReportLine(
            sort="trial",
            mark=action or "decided",
            bad={"roll back": True, "keep": False}.get(action),  # promoting is somebody's to do
            text=text_of(decision.get("reason")),
            more=arms,
        )
    ]


def _gate(each: Mapping[str, Any]) -> ReportLine:
    passed = each.get("passed") is True
    name = text_of(each.get("name"), 200)
    return ReportLine(
        sort="gate",
        mark="passed" if passed else "failed",
        bad=not passed,
        text=name,
        more=text_of(each.get("reason") or each.get("detail"), 200),
    )


def _remedies(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Remedies of a report, or those that a loop tried, round by round."""
    found = _items(said.get("remedies"))
    for each in _items(said.get("rounds")):
        for answered in _items(each.get("answered")):
            for trial in _items(answered.get("trials")):
                found.append(
                    {"round": each.get("number"), "answers": answered.get("claim"), **trial}
                )
    return found


def _remedy(each: Mapping[str, Any]) -> ReportLine:
    mark = text_of(each.get("decision"), 40)
    number, answers = text_of(each.get("round"), 10), text_of(each.get("answers"))
    more = [
        f"round {number}" if number else "",
        text_of(each.get("kind"), 40),
        f"answers: {answers}" if answers else text_of(each.get("reason"), 300),
    ]
    return ReportLine(
        sort="remedy",
        mark=mark or "proposed",
        bad={"rejected": False, "handed to a person": True}.get(mark),
        text=text_of(each.get("what") or each.get("fixes") or each.get("claim")),
        more=", ".join(filter(None, more)),
    )


def _findings(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = _items(said.get("findings"))
    comparison = said.get("comparison")
    if isinstance(comparison, Mapping):
        found += _items(comparison.get("findings"))
    # What a loop could not answer stands as a sentence.
    return found + [{"claim": each, "severity": "high"} for each in _list(said.get("left"))]


def _finding(each: Mapping[str, Any]) -> ReportLine:
    inner = each.get("finding")
    said = inner if isinstance(inner, Mapping) else each
    severity = text_of(said.get("severity") or said.get("rank"), 20)
    return ReportLine(
        sort="finding",
        mark=severity or "found",
        bad=severity in ("medium", "high", ""),
        text=text_of(said.get("claim") or said.get("sentence") or said.get("message")),
        more=_estimate(said.get("estimate")) or text_of(said.get("reason")),
    )


def _broken(said: Mapping[str, Any]) -> list[ReportLine]:
    """Principles that tests of compliance found to be broken too often."""
    found = []
    for each in _items(said.get("principles")):
        broken = each.get("broken")
        if isinstance(broken, Mapping) and broken.get("outcome") == "above":
            text = f"{text_of(each.get('id'), 120)} is broken more often than allowed"
            more = _estimate(broken.get("estimate"))
            found.append(ReportLine(sort="finding", mark="broken", bad=True, text=text, more=more))
    return found


def _holes(said: Mapping[str, Any]) -> list[ReportLine]:
    """What attacks found: a principle, and the family that it gives way to."""
    return [
        ReportLine(
            sort="finding",
            mark="hole",
            bad=True,
            text=f"{text_of(each.get('principle'), 120)} gives way to "
            f"{text_of(each.get('family'), 120)}",
            more=f"{text_of(each.get('hits'), 20)} of {text_of(each.get('tries'), 20)} attacks",
        )
        for each in _items(said.get("holes"))
    ]


def _estimate(value: object) -> str:
    if not isinstance(value, Mapping):
        return ""
    try:
        return text_of(estimate_text(dict(value)))
    except (KeyError, TypeError, ValueError, OverflowError):
        return "with an estimate that cannot be read"


def _items(value: object) -> list[Mapping[str, Any]]:
    return [each for each in _list(value) if isinstance(each, Mapping)]


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
