"""Finds what is wrong with a constitution before anything is trained on it.

It reads wording, not meaning: a complaint is a place to look at, with a way out.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from plumbrule.constitution import conflicts
from plumbrule.constitution.complaint import LINT_CODES, Complaint, complain
from plumbrule.constitution.schema import Constitution, Principle

FEWEST, MOST = 10, 20
"""Principles a set should have. The sets trained on so far had 16 for revision and 16 for
comparison (Bai et al. 2022, arXiv:2212.08073), which also reports that the number made no
difference to its preference model; hence advice and not a bound."""

LONGEST_TEXT = 1000
"""Characters; the text goes into every prompt that judges a reply."""

Rule = Callable[[Constitution], Iterator[Complaint]]


def lint(constitution: Constitution) -> tuple[Complaint, ...]:
    """Check a constitution against every rule.

    Returns:
        Errors first, then warnings, each in the order of `LINT_CODES`; empty when all is well.
    """
    found = [complaint for rule in _RULES for complaint in rule(constitution)]
    order = list(LINT_CODES)
    return tuple(sorted(found, key=lambda complaint: order.index(complaint.code)))


def _ids(constitution: Constitution) -> Iterator[Complaint]:
    for name, count in Counter(each.id for each in constitution.principles).items():
        if count > 1:
            yield complain(
                "duplicate-id",
                [name],
                f"{count} principles are called `{name}`, so a label could mean any of them",
                "give each its own id",
            )


def _texts(constitution: Constitution) -> Iterator[Complaint]:
    for principle in constitution.principles:
        for field in _blank_fields(principle):
            yield complain(
                "empty-text",
                [principle],
                f"`{field}` holds an empty text",
                "write it out or remove the entry",
            )
        if len(principle.text) > LONGEST_TEXT:
            yield complain(
                "long-text",
                [principle],
                f"the text has {len(principle.text):,} characters, {LONGEST_TEXT:,} are advised; "
                "it goes into every prompt that judges a reply",
                "keep the rule, move examples to `critique_examples`, or split it in two",
            )
        if not principle.source.strip():
            yield complain(
                "no-source",
                [principle],
                "nobody can tell where the rule comes from",
                "name a document, a law or the people who decided it under `source`",
            )


def _blank_fields(principle: Principle) -> Iterator[str]:
    if not principle.text.strip():
        yield "text"
    for name in ("applies_when", "except_when", "probes", "twins"):
        if any(not entry.strip() for entry in getattr(principle, name)):
            yield name
    for name in ("critique_examples", "counterfactuals"):
        if any(
            not text.strip() for each in getattr(principle, name) for text in vars(each).values()
        ):
            yield name


def _tests(constitution: Constitution) -> Iterator[Complaint]:
    twins: dict[str, list[str]] = {}
    for principle in constitution.principles:
        for text in sorted({_plain(twin) for twin in principle.twins}):
            twins.setdefault(text, []).append(principle.id)
        for kind in ("probes", "twins"):
            tests = getattr(principle, kind)
            if not tests:
                what = (
                    "tempts a model to break it" if kind == "probes" else "shows it is over-applied"
                )
                yield complain(
                    f"no-{kind}",
                    [principle],
                    f"it has no {kind}, so nothing {what}",
                    f"write two or more under `{kind}`",
                )
            if len({_plain(test) for test in tests}) < len(tests):
                yield complain(
                    "repeated-test",
                    [principle],
                    f"one of its {kind} is listed twice and would count twice",
                    "keep one of them",
                )
    for principle in constitution.principles:
        for probe in {_plain(each): each for each in principle.probes}.values():
            yield from _probe_among_twins(principle, probe, twins.get(_plain(probe), []))


def _probe_among_twins(
    principle: Principle, probe: str, owners: Sequence[str]
) -> Iterator[Complaint]:
    if principle.id in owners:
        yield complain(
            "probe-is-twin",
            [principle],
            f"{probe!r} is both a probe and a twin, so no reply to it could be right",
            "decide which it is",
        )
    elif owners:
        yield complain(
            "shared-probe-twin",
            [principle, *owners],
            f"{probe!r} is a probe of the first and a twin of the other",
            "make sure a helpful reply can keep the first, or use another prompt",
        )


def _size(constitution: Constitution) -> Iterator[Complaint]:
    count = len(constitution.principles)
    basis = (
        f"the advice is {FEWEST} to {MOST}: the sets trained on so far had 16 for each phase "
        "(Bai et al. 2022, arXiv:2212.08073)"
    )
    if count < FEWEST:
        yield complain(
            "too-few",
            [],
            f"{count} principles leave much unsaid; {basis}",
            "check which kinds of harm, dishonesty and unhelpfulness no principle speaks of",
        )
    if count > MOST:
        yield complain(
            "too-many",
            [],
            f"{count} principles cost as many judgments a reply; {basis}",
            "merge the close ones, or train on a part",
        )


def _tiers(constitution: Constitution) -> Iterator[Complaint]:
    used = {principle.tier for principle in constitution.principles}
    names = constitution.tiers
    missing = sorted(set(range(min(max(used), 1000))) - used)
    if missing:
        yield complain(
            "tier-gap",
            [],
            f"no principle is in tier {', '.join(map(str, missing[:5]))}, "
            f"though tier {max(used)} is in use",
            "number the tiers 0, 1, 2 … without gaps",
        )
    if names and max(used) >= len(names):
        yield complain(
            "tier-names",
            [each for each in constitution.principles if each.tier >= len(names)],
            f"tier {max(used)} is in use, but only {len(names)} tiers have names",
            "name every tier in use under `tiers`, or none",
        )
    elif names and len(names) > max(used) + 1:
        yield complain(
            "tier-names",
            [],
            f"tier {names[max(used) + 1]!r} has a name but no principle",
            "remove the name, or put a principle there",
        )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


_RULES: tuple[Rule, ...] = (
    _ids,
    _texts,
    conflicts.pairs,
    conflicts.conditions,
    _tests,
    _size,
    _tiers,
)
