"""The task of the indirect object: two names, one of them said again; say the other.

After Wang et al. (2022), "Interpretability in the wild", arXiv 2211.00593, with one head for each
of the steps that they found in GPT-2: duplicate token, inhibition, name mover.
"""

import numpy as np

from plumbrule.lab.circuits.blueprint import STRENGTH, Blueprint, Head, Match, Move, Offset
from plumbrule.lab.circuits.tasks import CircuitTask, DrawnPair
from plumbrule.lab.circuits.words import (
    SINK,
    START,
    answering,
    coded,
    flagged,
    merged,
    named,
    scattered,
)

NAMES = named("name", 12)
FILLERS = named("filler", 8)
END = "end"
LENGTH = 10


def _draw(rng: np.random.Generator) -> DrawnPair:
    subject, other, *fresh = (NAMES[at] for at in rng.permutation(len(NAMES))[:5])
    places = np.sort(rng.permutation(np.arange(1, LENGTH - 1))[:3]).tolist()
    first = [subject, other] if rng.random() < 0.5 else [other, subject]
    ends = {0: START, LENGTH - 1: END}
    clean = dict(zip(places, (*first, subject), strict=True))
    corrupted = dict(zip(places, fresh, strict=True))
    return DrawnPair(
        clean=scattered(rng, LENGTH, {**clean, **ends}, FILLERS),
        corrupted=scattered(rng, LENGTH, {**corrupted, **ends}, FILLERS),
        right=other,
        wrong=subject,
    )


INDIRECT_OBJECT = CircuitTask(
    name="indirect_object",
    description="Two names are said and one of them again; say the other. Corrupted, three differ.",
    computation=(
        "A head of layer 0 looks from each name to the same name before, and writes `duplicate` "
        "where there is one. A head of layer 1 looks at the duplicate (key composition) and moves "
        "its name into `inhibited`. A head of layer 2 looks at names, but away from the inhibited "
        "one (query composition), and moves the name there into `answer`."
    ),
    needs=("key from head", "query from head"),
    blueprint=Blueprint(
        vocabulary=(START, END, *NAMES, *FILLERS),
        layers=3,
        length=LENGTH,
        subspaces={
            "start": 1,
            "named": 1,
            "name": 12,
            "filler": 8,
            "duplicate": 1,
            "inhibited": 12,
            "answer": 12,
        },
        embedding=merged(
            flagged([START], "start"),
            flagged(NAMES, "named"),
            coded(NAMES, "name"),
            coded(FILLERS, "filler"),
        ),
        unembedding=answering(NAMES),
        heads=(
            Head(
                name="duplicate",
                layer=0,
                looks=(
                    Match(query="name", key="name"),
                    Offset(back=0, strength=-2 * STRENGTH),
                    SINK,
                ),
                moves=(Move(source="named", target="duplicate"),),
            ),
            Head(
                name="inhibition",
                layer=1,
                looks=(Match(query="one", key="duplicate"), SINK),
                moves=(Move(source="name", target="inhibited"),),
            ),
            Head(
                name="mover",
                layer=2,
                looks=(
                    Match(query="one", key="named"),
                    Match(query="inhibited", key="name", strength=-2 * STRENGTH),
                ),
                moves=(Move(source="name", target="answer"),),
            ),
        ),
        circuit=(
            ("embed", "duplicate.q"),
            ("embed", "duplicate.k"),
            ("duplicate", "inhibition.k"),
            ("embed", "inhibition.v"),
            ("inhibition", "mover.q"),
            ("embed", "mover.k"),
            ("embed", "mover.v"),
            ("mover", "final"),
        ),
    ),
    draw=_draw,
)
