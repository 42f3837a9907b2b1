"""Revisions that a run leaves out before it learns from them, said and kept where all can see."""

import json
from collections.abc import Sequence
from typing import Any

from plumbrule.errors import DataError
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.records import to_json
from plumbrule.store import fingerprint, write_atomic
from plumbrule.training import FilteredRevisions, RevisionTrail, sift_revisions

LEFT_OUT = "revisions_left_out.jsonl"
"""Revisions that nothing is learned from, each with its reason, in a run's folder."""

MANY = 0.5
"""Share of the revisions from which on a reader is told first that they were left out."""


def imitable(run: RunWorkspace, trails: Sequence[RevisionTrail]) -> FilteredRevisions | None:
    """Say which revisions may be learned from, and enter it into the run's folder and ledger.

    Args:
        run: Its configuration has the limits.
        trails: Replies taken through critique and revision.

    Returns:
        What may be learned from; None where the run takes every revision.
    """
    settings = run.config.revision_filter
    if settings is None:
        return None
    sifted = sift_revisions(trails, settings)
    text = "".join(
        json.dumps(
            {
                "id": trail.first.id,
                "reason": sifted.dropped[trail.first.id],
                "draft": trail.first.response,
                "revision": trail.response,
            },
            ensure_ascii=False,
            sort_keys=True,
        )
        + "\n"
        for trail in trails
        if trail.first.id in sifted.dropped
    )
    write_atomic(run.folder / LEFT_OUT, text)
    counts = {**counted(sifted), "limits": to_json(settings), "sha256": fingerprint(text)}
    run.ledger.record("revisions/sifted", "revisions", counts)
    return sifted


def refuse_nothing_left(sifted: FilteredRevisions | None) -> None:
    """Stop where revisions came, and none of them may be learned from.

    Raises:
        DataError: None is left.
    """
    if sifted is None or sifted.kept or not sifted.dropped:
        return
    raise DataError(
        f"none of {len(sifted.dropped)} revisions may be learned from, so there is nothing to "
        f"learn: {_reasons(sifted)}. Read them in {LEFT_OUT}; try another --critic or more "
        "prompts, or, with another --out, a recipe whose `revision_filter` has other limits or is "
        "null, which takes every revision as it is."
    )


def counted(sifted: FilteredRevisions) -> dict[str, Any]:
    """How many revisions were kept, and how many left out for which reason."""
    return {
        "revised": len(sifted.kept) + len(sifted.dropped),
        "kept": len(sifted.kept),
        "left_out": sifted.counts,
    }


def say_sifted(sifted: FilteredRevisions | None) -> str:
    """What was left out, to follow "so many replies were revised"."""
    if sifted is None or not sifted.dropped:
        return " and imitated"
    return f" and {len(sifted.kept)} of them imitated (left out: {_reasons(sifted)})"


def warn_of_sifted(sifted: FilteredRevisions | None) -> list[str]:
    """That most revisions were unfit, which a reader must know before the numbers."""
    if sifted is None or len(sifted.dropped) <= MANY * (len(sifted.kept) + len(sifted.dropped)):
        return []
    every = len(sifted.kept) + len(sifted.dropped)
    return [
        f"LITTLE TO LEARN FROM: {len(sifted.dropped)} of {every} revisions were left out "
        f"({_reasons(sifted)}), {len(sifted.kept)} were imitated. {LEFT_OUT} has them; another "
        "critic may write better ones."
    ]


def _reasons(sifted: FilteredRevisions) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sifted.counts.items())
