"""What to ask next, and what the answers then stand for.

Labels that are worth much come first: where judges disagree, are unsure, or the principle decides
before others. Rates must not be read from such labels alone, so beside that order runs another,
drawn by chance, and each draw takes the next item of one of the two. How far both orders were
worked through says with which probability an item came to be labeled (`inclusion_probabilities`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from plumbrule.people.records import QueueEvent, QueueItem, QueueSettings
from plumbrule.store import derive_seed

UNSURE, DISAGREE, CRITICAL, MODERATE = 0.4, 0.3, 0.15, 0.15
"""What each reason to ask people counts for in an item's worth. Ours: judges' own doubt first,
their disagreement next (nine judges are about two effective votes, so it says less than it seems);
then the principle's tier and the item's difficulty."""


def worth(item: QueueItem) -> float:
    """How much a person's label of an item is worth, from 0 to 1.

    Args:
        item: With what judges said of it, its tier and its difficulty, as far as they are known.

    Returns:
        The weighted sum of four parts: how close the judges' mean is to one half; how far they are
        apart, as the mean distance between two of them; whether the principle decides before
        others; and how moderate the difficulty is. An item no judge has seen is all doubt.

    Source:
        Routing by moderate difficulty after Miranda et al. (2024), "Hybrid Preferences",
        arXiv:2410.19133: prompts of moderate complexity or safety concern gain most from people.

    Example:
        >>> item = QueueItem(
        ...     principle_id="a", principle="A.", request="?", replies=("!",), judged=(0.5, 0.5)
        ... )
        >>> round(worth(item), 2)
        0.4
    """
    mean = fmean(item.judged) if item.judged else 0.5
    apart = [abs(one - other) for one, other in combinations(item.judged, 2)]
    hard = item.difficulty
    return (
        UNSURE * (1 - abs(2 * mean - 1))
        + DISAGREE * (fmean(apart) if apart else 0.0)
        + CRITICAL * (0.0 if item.tier is None else 1 / (1 + item.tier))
        + MODERATE * (0.0 if hard is None else 4 * hard * (1 - hard))
    )


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where an item is in a queue."""

    item_id: str

    worth_rank: int
    """From 1, the label that is worth most; items whose answer is known are in an own order."""

    random_rank: int
    """From 1, in an order drawn by chance."""

    needed: int
    """People who label it."""

    known: bool


def place_items(items: Sequence[QueueItem], settings: QueueSettings) -> list[Placement]:
    """Put items into both orders.

    Args:
        items: Each once.
        settings: The shares and the seed.

    Returns:
        One placement an item, in the order of the items. Ranks of items to learn about and of
        items whose answer is known are counted apart.
    """
    chance = {item.id: derive_seed(settings.seed, "random", item.id) for item in items}
    ranks: dict[str, tuple[int, int]] = {}
    for known in (False, True):
        some = [item for item in items if (item.known is not None) == known]
        by_chance = sorted(some, key=lambda item: chance[item.id])
        # Equal worth is decided by chance, but not by the same one.
        by_worth = sorted(
            some, key=lambda item: (-worth(item), derive_seed(settings.seed, "tie", item.id))
        )
        at = {item.id: place for place, item in enumerate(by_chance, 1)}
        ranks |= {item.id: (place, at[item.id]) for place, item in enumerate(by_worth, 1)}
    return [
        Placement(
            item_id=item.id,
            worth_rank=ranks[item.id][0],
            random_rank=ranks[item.id][1],
            needed=2 if uniform(settings.seed, "double", item.id) < settings.double_share else 1,
            known=item.known is not None,
        )
        for item in items
    ]


def uniform(seed: int, *names: object) -> float:
    """A number from 0 to 1, drawn by name."""
    return derive_seed(seed, *names) / 2**63


def side_order(item: QueueItem, annotator: str, seed: int) -> tuple[int, ...]:
    """Which reply stands where for one person; drawn by chance, the same whenever it is asked."""
    if item.kind == "grade":
        return (0,)
    return (1, 0) if derive_seed(seed, "sides", item.id, annotator) % 2 else (0, 1)


def live_events(events: Iterable[QueueEvent]) -> list[QueueEvent]:
    """Events without undos and without what they took back."""
    given = list(events)
    undone = {event.undoes for event in given if event.undoes is not None}
    return [event for event in given if event.action != "undo" and event.number not in undone]


def settle(labels: Sequence[QueueEvent]) -> str | None:
    """The answer that holds for an item.

    Args:
        labels: The live labels of one item.

    Returns:
        The last adjudication; else what more than half of the people said; else None.
    """
    ruled = [each.answer for each in labels if each.via == "adjudication"]
    if ruled:
        return ruled[-1]
    said = Counter(each.answer for each in labels)
    for answer, count in said.most_common(1):
        return answer if 2 * count > len(labels) else None
    return None


def inclusion_probabilities(
    placements: Sequence[Placement], events: Sequence[QueueEvent]
) -> dict[str, float]:
    """With which probability each labeled item came to be labeled.

    The queue is cut in two. Of the items above the depth that the order by worth was worked through
    to, all were asked about. Of the rest, those were asked about that the order by chance had
    reached, which is a sample drawn by chance: exchanging two items of the rest would change
    nothing else. So within each part every item has the same probability, labeled over all, and
    weights of 1 over it give unbiased means over all items of the queue.

    Args:
        placements: Of all items.
        events: The queue's history.

    Returns:
        Item → probability, above 0 and at most 1, of each labeled item that a rate may use. Items
        whose answer was known, and items that only an import reached, are not among them. An item
        that was asked about and got no label (skipped, flagged) lowers the probability of its part
        as if it were missing by chance.

    Source:
        Horvitz & Thompson (1952), "A generalization of sampling without replacement from a finite
        universe": weighting by the inverse. The two orders are ours.
    """
    places = {each.item_id: each for each in placements if not each.known}
    live = live_events(events)
    labeled = {each.item_id for each in live if each.action == "label"} & places.keys()
    depth = _reached(places, events, "worth")
    prefix = _reached(places, events, "random")
    certain = {each.item_id for each in places.values() if each.worth_rank <= depth}
    rest = places.keys() - certain
    drawn = {item_id for item_id in rest if places[item_id].random_rank <= prefix}
    found: dict[str, float] = {}
    for part, asked in ((certain, certain), (rest, drawn)):
        answered = asked & labeled
        found |= {item_id: len(answered) / len(part) for item_id in answered}
    return {item_id: found[item_id] for item_id in places if item_id in found}


def _reached(places: Mapping[str, Placement], events: Sequence[QueueEvent], via: str) -> int:
    """How far an order was worked through. An undo does not bring it back: it was asked about."""
    ranks = [
        getattr(places[each.item_id], f"{via}_rank")
        for each in events
        if each.via == via and each.item_id in places
    ]
    return max(ranks, default=0)
