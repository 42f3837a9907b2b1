"""Which training examples are most like a fault, by what the model makes of them inside."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from plumbrule.mechanism import capture, find_sites
from plumbrule.models import LocalModel
from plumbrule.records import Exchange, to_json
from plumbrule.store import canonical, fingerprint, write_atomic

BATCH = 64


def likeness(
    model: LocalModel, shown: Sequence[Exchange], data: Sequence[Exchange], folder: Path
) -> dict[str, float]:
    """How much each training example is like replies at fault, from -1 to 1.

    The cosine between an example's activation behind the middle layer, at the end of its reply and
    less the mean over all examples, and the mean of the replies at fault less that same mean.

    Args:
        model: Whose activations are read.
        shown: Replies at fault.
        data: The training examples.
        folder: Keeps the result.

    Returns:
        The likeness by the example's id.

    Source:
        Xiao & Aranguri (2026), arXiv:2602.11079: ranking training examples by the cosine of
        activation differences, there on preference pairs.
    """
    key = fingerprint(
        [model.identity, [to_json(each) for each in shown], [each.id for each in data]]
    )
    path = folder / f"{key[:24]}.json"
    if path.exists():
        found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return found
    sites = find_sites(model.module)
    site = f"{len(sites.layers) // 2}.out"
    rows = _ends(model, data, site)
    mean = rows.mean(0)
    direction = _ends(model, shown, site).mean(0) - mean
    centered = rows - mean
    lengths = np.linalg.norm(centered, axis=1) * np.linalg.norm(direction)
    cosines = centered @ direction / np.maximum(lengths, 1e-12)
    found = {each.id: round(float(one), 6) for each, one in zip(data, cosines, strict=True)}
    write_atomic(path, canonical(found))
    return found


def _ends(
    model: LocalModel, examples: Sequence[Exchange], site: str
) -> Float[np.ndarray, "examples width"]:
    """What stands at the last token of each reply."""
    pairs = model.chat.with_replies(
        [each.dialogue for each in examples], [each.response for each in examples]
    )
    rows = [[*before, *reply] for before, reply in pairs]
    sites = find_sites(model.module)
    parts = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        found = capture(model.module, sites, part, [site], positions="last").stacked(site)
        parts.append(found.double().cpu().numpy())
    return np.concatenate(parts)
