"""Views that became principles or did not, and who agrees with each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from plumbrule.drafting.statements import count_of
from plumbrule.records import Estimate

Standing = Literal["consensus", "majority", "shared", "minority", "unvoted"]
"""Who agrees with a view: some group is shown to, none is shown to be against it, and each has at
least half for it; most people, but not each group; several groups or half of the people, but not
shown to be most; one group of less than half; or nobody was asked."""

STANDINGS: Mapping[Standing, str] = {
    "consensus": "Agreed in every group",
    "majority": "Agreed by most",
    "shared": "Agreed in some groups",
    "minority": "View of a minority",
    "unvoted": "Said, not voted on",
}
"""What each is called among the tiers of a constitution, the one that decides first in front."""


@dataclass(frozen=True, kw_only=True)
class PublicView:
    """One view, who said it, and who agrees."""

    principle_id: str

    text: str
    """The principle: the clearest of its statements, or what a writer made of them."""

    written: bool
    """Whether the words are a writing model's rather than a person's."""

    statements: tuple[str, ...]
    """Ids of all that said it, copies not among them."""

    copies: tuple[str, ...]
    """Ids of statements with the very words of one of these."""

    authors: int
    """Different people who wrote them; statements without an author count as one each."""

    standing: Standing

    agree: Estimate | None
    """Share of those who voted on any of its statements that agrees; None where too few voted."""

    by_group: Mapping[str, Estimate | None]
    """The same in each opinion group; empty where no groups are known."""

    consensus: float | None
    """Group-aware consensus, from 0 to 1; None where no groups are known."""

    share_of_people: float | None
    """Of a minority's view, the share that its group has of all people in groups."""

    conflicts: tuple[str, ...] = ()
    """Ids of principles that are about the same and that other people agree with."""


@dataclass(frozen=True, kw_only=True)
class DroppedView:
    """A view that is no principle."""

    text: str
    statements: tuple[str, ...]
    why: str


def source_of(view: PublicView) -> str:
    """Where a principle comes from: who said it, who agrees, what it is in conflict with."""
    said = (
        f"Public input: {count_of(len(view.statements), 'statement')} of "
        f"{'1 person' if view.authors == 1 else f'{view.authors:,} people'} "
        f"({', '.join(view.statements[:200])})"
    )
    parts = [said]
    if view.agree is not None:
        parts.append(f"{percent_of(view.agree)} of {view.agree.n:,} who voted agree")
    if view.by_group:
        groups = ", ".join(
            f"{name} {percent_of(each)} of {each.n}" if each else f"{name} did not vote on it"
            for name, each in view.by_group.items()
        )
        parts.append(f"by group: {groups}; group-aware consensus {view.consensus:.3f}")
    else:
        parts.append("opinion groups are not known")
    shown = STANDINGS[view.standing]
    if view.share_of_people is not None:
        shown += f", in a group with {view.share_of_people:.0%} of the people"
    parts.append(shown)
    if view.conflicts:
        parts.append(f"In conflict with {', '.join(view.conflicts)}")
    return ". ".join(part[:1].upper() + part[1:] for part in parts) + "."


def percent_of(share: Estimate) -> str:
    """A share with its interval."""
    return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"
