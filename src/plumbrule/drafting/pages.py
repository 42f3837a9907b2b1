"""What was drafted, as a page of Markdown to read and as a record for a program.

Statements and replies are text of strangers: on a page they stand escaped.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from plumbrule.drafting.inverse import InverseDraft
from plumbrule.drafting.public import PublicDraft
from plumbrule.drafting.public_views import STANDINGS, PublicView
from plumbrule.records import Estimate, to_json

MOST_LISTED = 40
"""Dropped views and removed statements that a page lists."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$-])")


def escaped(text: str) -> str:
    r"""Text of a stranger on one line of Markdown, without any meaning to it.

    Example:
        >>> print(escaped("<b>see [this](x)"))
        \<b\>see \[this\]\(x\)
    """
    plain = "".join(char if char.isprintable() else " " for char in text)
    return _SPECIAL.sub(r"\\\1", " ".join(plain.split()))


def percent(estimate: Estimate | None) -> str:
    """A share with its interval and its number."""
    if estimate is None:
        return "nobody asked"
    return f"{estimate.value:.0%} [{estimate.low:.0%}, {estimate.high:.0%}] of {estimate.n:,}"


def public_page(draft: PublicDraft) -> str:
    """A page in Markdown of what was made of people's statements and votes."""
    groups = draft.groups
    lines = [
        "# A constitution from public input",
        "",
        f"{draft.statements:,} statements, {draft.people:,} people, {draft.votes:,} votes. "
        f"{len(draft.views)} principles. Intervals are at {draft.level:.0%}.",
        "",
    ]
    if draft.reason:
        lines += [f"No principle: {draft.reason}.", ""]
    if groups.count:
        sizes = ", ".join(
            f"{name} {size}" for name, size in zip(groups.names, groups.sizes, strict=True)
        )
        lines += [
            f"Opinion groups: {sizes} people (silhouette {groups.silhouette:.2f}, p = "
            f"{groups.p_value:.3f} against shuffled votes).",
            "",
        ]
    else:
        lines += [f"Opinion groups are not known: {groups.reason}.", ""]
    for standing, title in STANDINGS.items():
        here = [view for view in draft.views if view.standing == standing]
        if here:
            lines += [f"## {title}", "", *_view_table(here, groups.names), ""]
    lines += _dropped(draft)
    return "\n".join([*lines, *(f"- {escaped(note)}" for note in draft.notes)]).rstrip() + "\n"


def _view_table(views: Sequence[PublicView], names: Sequence[str]) -> list[str]:
    head = ["principle", "statements", "people", "agree", *names]
    head += ["consensus"] if names else []
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for view in views:
        said = escaped(view.text)
        if view.share_of_people is not None:
            said += f" (a group with {view.share_of_people:.0%} of the people)"
        if view.conflicts:
            said += f" (in conflict with {', '.join(f'`{each}`' for each in view.conflicts)})"
        cells = [
            f"`{view.principle_id}`: {said}",
            str(len(view.statements)),
            str(view.authors),
            percent(view.agree),
            *(percent(view.by_group[name]) for name in names),
        ]
        cells += ["" if view.consensus is None else f"{view.consensus:.3f}"] if names else []
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _dropped(draft: PublicDraft) -> list[str]:
    lines = []
    if draft.dropped:
        lines += ["## Views that became no principle", ""]
        lines += [f"- {escaped(each.text)}: {each.why}" for each in draft.dropped[:MOST_LISTED]]
        lines += _more(len(draft.dropped))
    if draft.removed:
        counts = Counter(each.why for each in draft.removed)
        lines += ["## Statements that are no view", ""]
        lines += [f"- {why}: {count}" for why, count in counts.most_common()]
        lines += [
            "",
            *(
                f"- {escaped(each.statement.id)} ({each.why}): {escaped(each.statement.text[:200])}"
                for each in draft.removed[:MOST_LISTED]
            ),
            *_more(len(draft.removed)),
        ]
    return lines


def _more(count: int) -> list[str]:
    rest = count - MOST_LISTED
    return [f"- and {rest:,} more, in draft.json", ""] if rest > 0 else [""]


def public_record(draft: PublicDraft) -> Mapping[str, Any]:
    """Everything about a draft as plain values, each person's group among it."""
    return {
        "constitution_sha256": draft.constitution.sha256 if draft.constitution else None,
        "reason": draft.reason,
        "statements": draft.statements,
        "people": draft.people,
        "votes": draft.votes,
        "level": draft.level,
        "groups": {
            "sizes": dict(zip(draft.groups.names, draft.groups.sizes, strict=True)),
            "silhouette": draft.groups.silhouette,
            "p_value": draft.groups.p_value,
            "reason": draft.groups.reason,
            "of": dict(draft.group_of),
        },
        "views": [to_json(view) for view in draft.views],
        "dropped": [to_json(each) for each in draft.dropped],
        "removed": [to_json(each) for each in draft.removed],
        "merged": {name: list(others) for name, others in draft.merged.items()},
        "torn_votes": draft.torn,
        "notes": list(draft.notes),
    }


def inverse_page(draft: InverseDraft) -> str:
    """What labels say, as Markdown."""
    pairs = draft.pairs
    lines = [
        "# A constitution from preferences",
        "",
        f"{len(pairs.pairs):,} labeled pairs: {draft.proposed_from:,} to propose from, "
        f"{draft.voted_on:,} to vote on, {draft.measured_on:,} to measure on. Left out: "
        f"{pairs.identical:,} with identical sides, {pairs.empty:,} with an empty one, "
        f"{pairs.contradictory:,} with contradictory "
        f"labels, {pairs.undecided:,} undecided, {pairs.repeated:,} repeated. "
        f"{draft.candidates:,} rules were looked at.",
        "",
        "| explains held-out labels | share |",
        "|---|---|",
        f"| this constitution | {exact(draft.agreement)} |",
        f"| the longer reply wins | {exact(draft.longer_wins)} |",
        f"| the first reply wins | {exact(draft.always_first)} |",
        "",
    ]
    if draft.reason:
        lines += [f"No principle: {draft.reason}.", ""]
    if draft.principles:
        lines += [
            "| principle | weight | right | wrong | p | has a say on | instead |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| `{each.principle_id}`: {escaped(each.text)} | {each.weight:.2f} | {each.right:,} | "
            f"{each.wrong:,} | {each.p_value:.2g} | {each.said_on:.0%} | "
            f"{len(each.alternatives)} |"
            for each in draft.principles
        ]
        lines.append("")
    if draft.others is not None:
        lines += [others_in_words(draft), ""]
    if draft.unconfirmed:
        lines += ["## Proposed, but not confirmed by the vote", ""]
        lines += [f"- {escaped(each)}" for each in draft.unconfirmed]
    return "\n".join(lines).rstrip() + "\n"


def others_in_words(draft: InverseDraft) -> str:
    """How many other constitutions explain the labels as well, in a sentence or two."""
    others = draft.others
    assert others is not None
    swaps = sum(others.by_place)
    text = (
        f"Other constitutions explain these labels as well (a paired test on the "
        f"{draft.measured_on:,} measured pairs cannot tell them from this one): "
        f"{swaps:,} that differ in one principle, {others.smaller:,} that have fewer"
    )
    if others.share is not None:
        how = "all tried" if others.counted else f"estimated from {others.share.n:,}"
        text += (
            f", and {others.as_well:,} of the {others.considered:,} that combine such principles "
            f"({others.share.value:.0%} [{others.share.low:.0%}, {others.share.high:.0%}], {how})"
        )
    return text + "."


def exact(estimate: Estimate | None) -> str:
    """A share to a tenth of a percent, with its interval and its number."""
    if estimate is None:
        return "none"
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}] of {estimate.n:,}"


def inverse_record(draft: InverseDraft) -> Mapping[str, Any]:
    """Everything about a draft as plain values."""
    return {
        "constitution_sha256": draft.constitution.sha256 if draft.constitution else None,
        "reason": draft.reason,
        "agreement": to_json(draft.agreement) if draft.agreement else None,
        "longer_wins": to_json(draft.longer_wins),
        "always_first": to_json(draft.always_first),
        "proposed_from": draft.proposed_from,
        "voted_on": draft.voted_on,
        "measured_on": draft.measured_on,
        "candidates": draft.candidates,
        "left_out": {
            "identical": draft.pairs.identical,
            "empty": draft.pairs.empty,
            "contradictory": draft.pairs.contradictory,
            "undecided": draft.pairs.undecided,
            "repeated": draft.pairs.repeated,
        },
        "principles": [
            {
                "id": each.principle_id,
                "text": each.text,
                "weight": each.weight,
                "right": each.right,
                "wrong": each.wrong,
                "p_value": each.p_value,
                "agreement": to_json(each.agreement),
                "has_a_say_on": each.said_on,
                "kind": each.rule.face.kind,
                "direction": each.rule.direction,
                "phrases": sorted(each.rule.face.phrases),
                "condition": each.rule.condition.kind,
                "condition_phrases": sorted(each.rule.condition.phrases),
                "alternatives": list(each.alternatives),
            }
            for each in draft.principles
        ],
        "others": to_json(draft.others) if draft.others else None,
        "unconfirmed": list(draft.unconfirmed),
    }
