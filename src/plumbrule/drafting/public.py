"""A constitution drafted from what many people said and how they voted on it.

A view becomes a principle where one opinion group at least is shown to agree with it. What the
others think decides where it is listed: agreed in every group, by most, by several groups, or by
one alone, and a minority's view is never shown as anything else.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from plumbrule.constitution import Constitution, Principle
from plumbrule.constitution.schema import slug
from plumbrule.drafting.cleaning import Cleaned, Removed, clean
from plumbrule.drafting.groups import OpinionGroups, counts_by_group, group_consensus
from plumbrule.drafting.principles import Write, distinct, tidy, usable_principle
from plumbrule.drafting.public_views import (
    STANDINGS,
    DroppedView,
    PublicView,
    Standing,
    percent_of,
    source_of,
)
from plumbrule.drafting.statements import PublicInput, Statement, count_of
from plumbrule.drafting.views import Views, find_views, stances
from plumbrule.drafting.wordings import Embed, content_stems, demands
from plumbrule.errors import ConfigError
from plumbrule.records import Estimate
from plumbrule.statistics import wilson
from plumbrule.statistics.checks import check_level
from plumbrule.store import Tell, silent

LEAST_STATEMENTS = 2
"""Statements by different people that make a view where nobody voted."""

TELLING = 2.5
"""How much more often than elsewhere a word occurs in a view's statements to be one of its own."""

RELATED = 0.25
"""Share of the statements of both of two views that must have a word which is rare elsewhere,
summed over such words, for the two to be about the same thing."""


MOST_WRITTEN = 12
"""Statements of a view that a writer is shown."""

MISFIT = 0.001
"""Chance of so few agreeing with a statement, were it the view it was sorted to, below which it is
taken out of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PublicDraft:
    """What became of the statements."""

    constitution: Constitution | None
    """None where nothing was agreed on; `reason` then says why."""

    reason: str | None
    views: tuple[PublicView, ...]
    """Principles, in the order of the constitution."""

    dropped: tuple[DroppedView, ...]
    removed: tuple[Removed, ...]
    merged: Mapping[str, tuple[str, ...]]
    """Of a statement, the others that say nearly the same and were voted on as one with it."""

    groups: OpinionGroups
    group_of: Mapping[str, str]
    """Group of each person who is in one."""

    statements: int
    people: int
    votes: int
    torn: int
    """People's votes of both kinds on statements that say the same: counted as no opinion."""

    level: float
    notes: tuple[str, ...]


def draft_public(
    given: PublicInput,
    *,
    name: str = "public",
    seed: int = 0,
    level: float = 0.95,
    minorities: bool = True,
    embed: Embed | None = None,
    write: Write | None = None,
    tell: Tell = silent,
) -> PublicDraft:
    """Draft a constitution from statements and votes.

    Args:
        given: Statements, and votes if there are any.
        name: What the constitution is called.
        seed: Of the search for opinion groups.
        level: Of each interval that is shown. Whether a group agrees is decided with the intervals
            of all views and groups holding together at this level (Bonferroni).
        minorities: Whether views of some groups or of one become principles; they are reported
            either way.
        embed: A sentence encoder; words and letters decide what is alike without one.
        write: Writes a principle from a view's statements; without one, or where its words are no
            principle, the clearest statement stands as it is.
        tell: Told of progress: views counted, and views worded where there is a writer.

    Returns:
        The draft. Groups are taken as given by the intervals: that they were found from the same
        votes is not in them.

    Raises:
        ConfigError: A setting is out of range.
        DataError: The encoder does not give one row per text.

    Source:
        Small et al. (2021) for groups and group-aware consensus; Huang et al. (2024), "Collective
        Constitutional AI", arXiv:2406.07814, for a constitution from such statements.
    """
    check_level(level)
    if not name.strip():
        raise ConfigError("a constitution needs a name, got none; give one")
    cleaned = clean(given)
    texts = [statement.text for statement in cleaned.kept]
    tell("finding views", 0, 1)
    views = find_views(texts, cleaned.votes, cleaned.seen, seed=seed, embed=embed)
    drafts: list[_Draft] = []
    dropped: list[DroppedView] = []
    views, strange = _without_misfits(cleaned, views, level)
    dropped += [
        DroppedView(
            text=tidy(cleaned.kept[row].text),
            statements=tuple(one.id for one in cleaned.merged[row]),
            why="in the words of a view, but those who agree with the view do not agree with it",
        )
        for row in strange
    ]
    counted = _count(cleaned, views, level)
    telling = _telling(cleaned, views)
    for at in range(len(counted)):
        one = _view(cleaned, views, at, telling[at], counted[at])
        if one.why is None and one.standing is not None:
            drafts.append(one)
        else:
            dropped.append(
                DroppedView(
                    text=one.text, statements=one.statements, why=one.why or "nobody agrees"
                )
            )
        tell("counting votes", at + 1, len(counted))
    drafts.sort(key=_order)
    made = _named(_written(drafts, cleaned, write, tell))
    made = _conflicting(made, drafts, cleaned)
    if not minorities:
        keep = [view.standing not in ("minority", "shared") for view in made]
        dropped += [
            DroppedView(text=view.text, statements=view.statements, why=STANDINGS[view.standing])
            for view, kept in zip(made, keep, strict=True)
            if not kept
        ]
        made = [view for view, kept in zip(made, keep, strict=True) if kept]
    names = views.groups.names
    return PublicDraft(
        constitution=_constitution(made, name, given, views.groups) if made else None,
        reason=None if made else _nothing(given, cleaned),
        views=tuple(made),
        dropped=tuple(dropped),
        removed=cleaned.removed,
        merged={
            each[0].id: tuple(other.id for other in each[1:])
            for each in cleaned.merged
            if len(each) > 1
        },
        groups=views.groups,
        group_of={
            person: names[group]
            for person, group in zip(given.people, views.groups.of.tolist(), strict=True)
            if group >= 0
        },
        statements=len(given.statements),
        people=len(given.people),
        votes=int(given.seen.sum()),
        torn=cleaned.torn,
        level=level,
        notes=given.notes,
    )


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """Who voted on a view, and what that says."""

    agree: Estimate | None
    by_group: tuple[Estimate | None, ...]
    consensus: float | None
    stands: tuple[int, ...]
    """Of each group: 1 where most of it are shown to agree, -1 where most are shown not to."""

    over_all: int
    """The same of all who voted."""


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A view before it has a name."""

    rows: tuple[int, ...]
    """Kept statements that say it, the clearest first."""

    telling: Mapping[str, float]
    """Stems that are its own, and the share of its statements that have each."""

    text: str
    statements: tuple[str, ...]
    copies: tuple[str, ...]
    authors: int
    standing: Standing | None
    counted: _Counted
    share: float | None
    names: tuple[str, ...]
    why: str | None


def _count(cleaned: Cleaned, views: Views, level: float) -> list[_Counted]:
    """Votes of each view's people, by group."""
    count = int(views.of.max(initial=-1)) + 1
    mean, voted = stances(cleaned.votes, cleaned.seen, views.of)
    agrees = (mean > 0) & voted
    groups = views.groups
    by_group, sizes = counts_by_group(agrees.astype(np.int8), voted, groups.of.tolist())
    consensus = group_consensus(by_group, sizes) if groups.count else None
    together = 1 - (1 - level) / max(1, count * (groups.count + 1))
    found = []
    for at in range(count):
        yes, n = int(agrees[:, at].sum()), int(voted[:, at].sum())
        pairs = list(zip(by_group[:, at].tolist(), sizes[:, at].tolist(), strict=True))
        found.append(
            _Counted(
                agree=_share(yes, n, level),
                by_group=tuple(_share(one, of, level) for one, of in pairs),
                consensus=None if consensus is None else float(consensus[at]),
                stands=tuple(_stand(one, of, together) for one, of in pairs),
                over_all=_stand(yes, n, together),
            )
        )
    return found


def _without_misfits(cleaned: Cleaned, views: Views, level: float) -> tuple[Views, list[int]]:
    """Take statements out of views whose friends are none of theirs, into no view."""
    from scipy.stats import binom

    counted = _count(cleaned, views, level)
    agreed = (cleaned.votes == 1) & cleaned.seen
    strange = []
    for at, each in enumerate(counted):
        favor = [group for group, stand in enumerate(each.stands) if stand == 1]
        rows = np.flatnonzero(views.of == at)
        if not favor or len(rows) < 2:
            continue
        who = np.isin(views.groups.of, favor)
        yes, n = agreed[who][:, rows].sum(0), cleaned.seen[who][:, rows].sum(0)
        chance = binom.cdf(yes, n, yes.sum() / max(1, n.sum()))
        strange += rows[chance < MISFIT].tolist()
    if not strange:
        return views, []
    of = views.of.copy()
    of[strange] = -1
    kept = np.unique(of[of >= 0])
    of = np.where(of >= 0, np.searchsorted(kept, of), -1)
    return replace(views, of=of), strange


def _share(yes: int, n: int, level: float) -> Estimate | None:
    return wilson(yes, n, level=level, unit="share of people who agree") if n else None


def _stand(yes: int, n: int, level: float) -> int:
    if not n:
        return 0
    estimate = wilson(yes, n, level=level, unit="share")
    return 1 if estimate.low > 0.5 else -1 if estimate.high < 0.5 else 0


def _view(
    cleaned: Cleaned, views: Views, at: int, telling: Mapping[str, float], counted: _Counted
) -> _Draft:
    places = np.flatnonzero(views.of == at).tolist()
    rows = _clearest_first(cleaned, views, places, telling, counted)
    said = [one for row in rows for one in cleaned.merged[row]]
    ids = {one.id for one in said}
    groups = views.groups
    standing, why = _standing(counted, said, groups)
    share = None
    if standing == "minority" and groups.count:
        share = groups.sizes[counted.stands.index(1)] / sum(groups.sizes)
    return _Draft(
        rows=tuple(rows),
        telling=telling,
        text=tidy(cleaned.kept[rows[0]].text),
        statements=tuple(one.id for one in said),
        copies=tuple(copy for copy, original in cleaned.copies.items() if original in ids),
        authors=len({one.author or f"\0{one.id}" for one in said}),
        standing=standing,
        counted=counted,
        share=share,
        names=groups.names,
        why=why,
    )


def _standing(
    counted: _Counted, said: Sequence[Statement], groups: OpinionGroups
) -> tuple[Standing | None, str | None]:
    """Who agrees, or why it is no principle."""
    if counted.agree is None:
        authors = {one.author or f"\0{one.id}" for one in said}
        if len(authors) < LEAST_STATEMENTS:
            return None, "one person said it, and nobody voted on it"
        return "unvoted", None
    shares = [each.value for each in counted.by_group if each is not None]
    favor = counted.stands.count(1)
    if not groups.count:
        if counted.over_all == 1:
            return "majority", None
    elif favor and -1 not in counted.stands and min(shares) >= 0.5:
        return "consensus", None
    elif counted.over_all == 1:
        return "majority", None
    elif favor > 1 or (favor and 2 * groups.sizes[counted.stands.index(1)] >= sum(groups.sizes)):
        return "shared", None
    elif favor:
        return "minority", None
    where = "in no group" if groups.count else "by most people"
    return (
        None,
        f"not shown to be agreed {where} ({percent_of(counted.agree)} of {counted.agree.n})",
    )


def _telling(cleaned: Cleaned, views: Views) -> list[dict[str, float]]:
    """Of each view the stems that are more often in it than elsewhere, and in what share of it."""
    said = [frozenset(content_stems(each.text)) for each in cleaned.kept]
    total = Counter(stem for stems in said for stem in stems)
    found = []
    for at in range(int(views.of.max(initial=-1)) + 1):
        rows = np.flatnonzero(views.of == at).tolist()
        here = Counter(stem for row in rows for stem in said[row])
        rest = len(said) - len(rows)
        found.append(
            {
                stem: count / len(rows)
                for stem, count in here.items()
                if count >= max(2, 0.05 * len(rows))
                and count / len(rows) >= TELLING * (total[stem] - count + 0.5) / (rest + 1)
            }
        )
    return found


def _clearest_first(
    cleaned: Cleaned,
    views: Views,
    rows: Sequence[int],
    telling: Mapping[str, float],
    counted: _Counted,
) -> list[int]:
    """Statements of a view, the one that says it best in front.

    It is in the view's own words rather than in what all say, has no slips of the pen, and those
    who agree with the view agree with it.
    """
    center = views.vectors[rows].mean(0)
    near = views.vectors[rows] @ center
    known = Counter(stem for each in cleaned.kept for stem in set(content_stems(each.text)))
    of = views.groups.of
    favor = [group for group, stand in enumerate(counted.stands) if stand == 1]
    who = np.isin(of, favor) if favor else np.ones(len(of), dtype=bool)
    agrees = ((cleaned.votes == 1) & cleaned.seen)[who][:, rows].sum(0)
    voted = cleaned.seen[who][:, rows].sum(0)
    scores = []
    for at, row in enumerate(rows):
        text = cleaned.kept[row].text.strip()
        stems = content_stems(text)
        own = sum(stem in telling for stem in stems) / max(2, len(stems))
        rare = sum(known[stem] == 1 for stem in stems) / max(1, len(stems))
        plain = bool(re.search(r"\b(?:should|must|ought|never|always)\b", text))
        score = float(near[at]) + 0.8 * own + 0.15 * plain - 0.5 * rare
        score -= 0.3 * text.isupper() + 0.05 * text.islower() + 0.003 * max(0, len(text) - 60)
        score -= 0.1 * bool(re.search(r"[!?]", text))
        scores.append(score + 0.8 * float((agrees[at] + 1) / (voted[at] + 2)))
    return [row for _, row in sorted(zip(scores, rows, strict=True), key=lambda x: (-x[0], x[1]))]


def _order(draft: _Draft) -> tuple[int, float, str]:
    counted = draft.counted
    favor = (
        counted.consensus
        if counted.consensus is not None
        else (counted.agree.value if counted.agree else len(draft.statements))
    )
    assert draft.standing is not None
    return list(STANDINGS).index(draft.standing), -float(favor), draft.text


def _written(
    drafts: Sequence[_Draft], cleaned: Cleaned, write: Write | None, tell: Tell
) -> list[tuple[_Draft, bool]]:
    """Each view with a writer's words, where there is a writer and its words will do."""
    if write is None:
        return [(draft, False) for draft in drafts]
    found = []
    for at, draft in enumerate(drafts):
        tell("wording views", at, len(drafts))
        shown = [cleaned.kept[row].text for row in draft.rows[:MOST_WRITTEN]]
        text = tidy(write(shown))
        usable = usable_principle(text, shown)
        found.append((replace(draft, text=text) if usable else draft, usable))
    tell("wording views", len(drafts), len(drafts))
    return found


def _named(drafts: Sequence[tuple[_Draft, bool]]) -> list[PublicView]:
    made = []
    names = distinct([_name(draft) for draft, _ in drafts])
    for principle_id, (draft, written) in zip(names, drafts, strict=True):
        assert draft.standing is not None
        made.append(
            PublicView(
                principle_id=principle_id,
                text=draft.text,
                written=written,
                statements=draft.statements,
                copies=draft.copies,
                authors=draft.authors,
                standing=draft.standing,
                agree=draft.counted.agree,
                by_group=dict(zip(draft.names, draft.counted.by_group, strict=True)),
                consensus=draft.counted.consensus,
                share_of_people=draft.share,
            )
        )
    return made


def _name(draft: _Draft) -> str:
    """Words of a principle that say what it is about, as written, its own `words` if it has any."""
    words = [word for word in re.findall(r"[^\W\d_]+", draft.text) if content_stems(word)]
    own = [word for word in words if draft.telling.keys() & set(content_stems(word))]
    name = slug(" ".join((own or words)[:4])) or "view"
    return name if demands(draft.text) else f"no-{name}"


def _conflicting(
    made: Sequence[PublicView], drafts: Sequence[_Draft], cleaned: Cleaned
) -> list[PublicView]:
    """Mark views that are about the same thing and that other groups agree with."""
    said = [frozenset(content_stems(each.text)) for each in cleaned.kept]
    total = Counter(stem for stems in said for stem in stems)
    own = [Counter(stem for row in draft.rows for stem in said[row]) for draft in drafts]
    against: dict[int, list[str]] = {at: [] for at in range(len(made))}
    for one in range(len(made)):
        for other in range(one):
            a, b = drafts[one].counted.stands, drafts[other].counted.stands
            if not any(x * y < 0 for x, y in zip(a, b, strict=True)):
                continue
            sizes = len(drafts[one].rows), len(drafts[other].rows)
            rest = len(said) - sum(sizes)
            shared = 0.0
            for stem in own[one].keys() & own[other].keys():
                here = min(own[one][stem] / sizes[0], own[other][stem] / sizes[1])
                elsewhere = total[stem] - own[one][stem] - own[other][stem]
                if here >= TELLING * elsewhere / max(1, rest):
                    shared += here
            if shared >= RELATED:
                against[one].append(made[other].principle_id)
                against[other].append(made[one].principle_id)
    return [replace(view, conflicts=tuple(sorted(against[at]))) for at, view in enumerate(made)]


def _constitution(
    made: Sequence[PublicView], name: str, given: PublicInput, groups: OpinionGroups
) -> Constitution:
    used = [standing for standing in STANDINGS if any(view.standing == standing for view in made)]
    people = f"{len(given.people):,} people voted" if len(given.people) else "nobody voted"
    known = (
        f"{groups.count} opinion groups"
        if groups.count
        else f"opinion groups not known: {groups.reason}"
    )
    return Constitution(
        name=name,
        version="1",
        description=(
            f"Drafted from {len(given.statements):,} statements; {people}; {known}. A tier says "
            "who agrees, and the tier that most agree with decides first."
        ),
        tiers=tuple(STANDINGS[standing] for standing in used),
        principles=tuple(
            Principle(
                id=view.principle_id,
                text=view.text,
                tier=used.index(view.standing),
                source=source_of(view),
            )
            for view in made
        ),
    )


def _nothing(given: PublicInput, cleaned: Cleaned) -> str:
    if not cleaned.kept:
        return f"none of {count_of(len(given.statements), 'statement')} is a view"
    if not len(given.people):
        return "nobody voted, and no two people said the same"
    return "no view is shown to be agreed on by more than half of any group, or of all"
