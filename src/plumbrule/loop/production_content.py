"""What the page of a watch holds: rates, alarms, what was read, and what the promises rest on."""

from collections.abc import Mapping, Sequence
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.monitoring import Alarm, TrafficMonitor, sequence_of
from plumbrule.monitoring.detection import years_between
from plumbrule.monitoring.watched_rates import DRIFT_MARGIN
from plumbrule.records import to_json
from plumbrule.version import __version__

SCHEMA = 1

MOST_UNANSWERED = 0.05
"""Share of replies without a verdict from which on it is said on top."""

READ = (
    ("lines", "lines read"),
    ("conversations", "replies"),
    ("twice", "seen already"),
    ("later_turns", "later turns of a conversation, looked at but not in the rates"),
    ("without_content", "without content"),
    ("without_time", "without a time"),
    ("clock_jumps", "times that the clock jumped by more than a day"),
    ("cut", "longer than is kept, cut"),
    ("too_large", "lines too large to read"),
    ("damaged", "damaged lines"),
    ("other", "lines about other work"),
    ("judged", "replies judged"),
    ("anchors_judged", "judgments of anchors"),
    ("reports", "reports of users"),
    ("reports_twice", "reports of what was reported already"),
)
"""Counts, and what each is called."""


def production_content(
    monitor: TrafficMonitor,
    law: Constitution,
    *,
    answers: Mapping[str, bool],
    left_out: Sequence[str],
    unproven: Sequence[str] = (),
    packed: int = 0,
    command: str = "",
) -> dict[str, Any]:
    """Put the record of a watch together; it depends on the traffic alone.

    Args:
        monitor: The watch.
        law: The constitution.
        answers: Item → whether people say that it breaks its principle.
        left_out: Principles that nobody looks at.
        unproven: Principles with too few examples to examine the judge on.
        packed: Packed files of the source, which are not read.
        command: What makes it again.
    """
    labels = monitor.stored.labels(answers)
    rates = monitor.rates(labels)
    standing = [each for each in monitor.alarms if not each.handled]
    principles = []
    for name, principle in monitor.principles.items():
        watched = monitor.watched[name]
        judged, corrected = rates[name]
        own = labels[name]
        largest = max(watched.scores, default=1.0)
        principles.append(
            {
                "id": name,
                "text": principle.text,
                "rate": None if judged is None else to_json(judged),
                "corrected": None if corrected is None else to_json(corrected),
                "corrected_reason": None if corrected else _why_not(own, bool(monitor.judged_by)),
                "bound": None if watched.bound is None else to_json(watched.bound),
                "points": watched.points,
                "judged": watched.judged,
                "flagged": watched.flagged,
                "unanswered": watched.unanswered,
                "labels": to_json(own),
                "days": [
                    {
                        "day": day or None,
                        "rate": to_json(sequence_of(scores, largest=max(largest, 1.0))),
                    }
                    for day, scores in monitor.stored.days(name)
                ],
                "examples": monitor.stored.examples(name),
            }
        )
    return {
        "schema": SCHEMA,
        "title": f"Watch by {law.name}",
        "plumbrule_version": __version__,
        "command": command,
        "summary": _summary(monitor, standing, left_out, unproven, packed),
        "constitution": {"name": law.name, "version": law.version, "sha256": law.sha256},
        "judge": monitor.judged_by,
        "counted": monitor.counted,
        "per_year": monitor.per_year,
        "read": [
            {"name": key, "what": what, "count": monitor.counts[key]}
            for key, what in READ
            if monitor.counts[key]
        ],
        "alarms": [to_json(each) for each in monitor.alarms],
        "principles": principles,
        "notes": _notes(monitor),
        "settings": to_json(monitor.settings),
    }


def _why_not(labels: Any, judged: bool) -> str:
    if not judged:
        return "there is no judge to correct"
    if not labels.flagged and not labels.cleared:
        return "people labeled nothing yet"
    missing = "flagged" if not labels.flagged else "did not flag"
    return f"people labeled none of what the judge {missing}"


def _summary(
    monitor: TrafficMonitor,
    standing: Sequence[Alarm],
    left_out: Sequence[str],
    unproven: Sequence[str],
    packed: int,
) -> list[str]:
    counts, settings = monitor.counts, monitor.settings
    found = [
        f"{counts['conversations']:,} replies read, {monitor.counted:,} in the rates, "
        + (f"{counts['judged']:,} judged." if monitor.judged_by else "all held against words.")
    ]
    lost = counts["damaged"] + counts["too_large"]
    if lost:
        found.append(
            f"{lost:,} of {counts['lines']:,} lines could not be read: damaged, or too large."
            + ("" if counts["conversations"] else " Is the source in a form that a watch reads?")
        )
    if monitor.counted < settings.baseline:
        found.append(
            f"The baseline is not complete: {monitor.counted:,} of {settings.baseline:,}. Until "
            "then rates are kept and no alarm is raised"
            + (", but for principles with a limit." if settings.limits else ".")
        )
    for each in standing:
        what = (
            f"is broken more often than {100 * each.bound:.2f}%: {_cause(each)}"
            if each.kind == "rate"
            else f"is judged otherwise than it was: {each.reason}"
        )
        found.append(f"Alarm at conversation {each.at:,}: {each.principle_id} {what}.")
    if not standing and monitor.counted >= settings.baseline:
        found.append("No alarm is open.")
    if left_out:
        how = (
            "the judge was not seen to do better than chance on their examples"
            if monitor.judged_by
            else "they have no words, and there is no judge"
        )
        found.append(f"Nobody looks at {', '.join(left_out)}: {how}.")
    if unproven:
        found.append(
            f"The judge was not examined on {', '.join(unproven)}: the constitution has too few "
            "examples of each. How often it errs there, only people's labels tell."
        )
    silent = [
        f"{name} ({each.unanswered:,} of {each.unanswered + each.judged:,})"
        for name, each in monitor.watched.items()
        if each.unanswered > MOST_UNANSWERED * (each.unanswered + each.judged)
    ]
    if silent:
        found.append(
            f"The judge gave no verdict on many replies, under {', '.join(silent)}. They are not "
            "in the rates, which may be those of easy replies only."
        )
    if counts["without_content"]:
        found.append(
            f"{counts['without_content']:,} replies came without content: whatever sends them does "
            "not record it, and nothing can be said of them."
        )
    if packed:
        found.append(f"{packed} packed files were not read; unpack them first.")
    return found


def _cause(alarm: Alarm) -> str:
    causes = {
        "model": "the model, or its users, changed",
        "judge": "the judge changed",
        "both": "the judge changed, and so did the model or its users",
        "undecided": "whose change it is, is open",
    }
    return f"{causes[alarm.cause]} ({alarm.reason})" if alarm.reason else causes[alarm.cause]


def _notes(monitor: TrafficMonitor) -> list[str]:
    settings = monitor.settings
    alpha = settings.false_alarms
    found = [
        f"Alarms: while nothing changes, the chance of any alarm within a year's traffic "
        f"({monitor.per_year:,.0f} conversations) is at most {100 * alpha:g}%, over all principles "
        f"together; on average {years_between(alpha):.0f} years' traffic lie between two. That "
        "holds for conversations that come as independently as in the baseline.",
        f"Bounds: the baseline is the first {settings.baseline:,} conversations. Its own "
        "uncertainty is part of the bound.",
        f"Intervals of rates hold at {100 * settings.level:g}% over all looks together, for a rate "
        "that stays as it is; after an alarm they mix before and after, until it is handled.",
    ]
    if monitor.judged_by:
        found.append(
            "The rate is what the judge says. With people's labels of replies drawn by hash, its "
            "errors are taken out; without them the corrected rate is not known."
        )
        found.append(
            f"A judge is called changed when it flags more or fewer of the frozen anchors by more "
            f"than {100 * DRIFT_MARGIN:g} points, or when the interval of that change lies above 0 "
            "at an alarm."
        )
    if settings.unit == "reply":
        found.append(
            "Every reply counts, also several of one conversation, which depend on one another: "
            "intervals are then too narrow, and alarms more frequent than promised."
        )
    return found
