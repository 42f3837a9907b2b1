"""Tasks answered by moving a token: induction, and the token before a mark."""

import numpy as np

from plumbrule.lab.circuits.blueprint import Blueprint, Head, Match, Move
from plumbrule.lab.circuits.tasks import CircuitTask, DrawnPair
from plumbrule.lab.circuits.words import (
    SINK,
    START,
    answering,
    coded,
    flagged,
    looking_back,
    merged,
    named,
)

WORDS = named("word", 24)
SHOWN = 7


def _two_lists(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Words of a clean and of a corrupted prompt, none of them the same."""
    drawn = [WORDS[at] for at in rng.permutation(len(WORDS))[: 2 * SHOWN]]
    return drawn[:SHOWN], drawn[SHOWN:]


def _draw_induction(rng: np.random.Generator) -> DrawnPair:
    clean, corrupted = _two_lists(rng)
    # At other places: else what is looked up with corrupted words would be found all the same.
    one, other = rng.permutation(SHOWN - 1)[:2].tolist()
    return DrawnPair(
        clean=(START, *clean, clean[one]),
        corrupted=(START, *corrupted, corrupted[other]),
        right=clean[one + 1],
        wrong=corrupted[other + 1],
    )


INDUCTION = CircuitTask(
    name="induction",
    description="A word stood earlier; say the one that followed it then.",
    computation=(
        "A head of layer 0 moves the word before each position into `previous`. A head of layer 1 "
        "looks where `previous` is the word that stands here (key composition) and moves the word "
        "there into `answer`."
    ),
    needs=("key from head",),
    blueprint=Blueprint(
        vocabulary=(START, *WORDS),
        layers=2,
        length=SHOWN + 2,
        subspaces={"start": 1, "word": 24, "previous": 24, "answer": 24},
        embedding=merged(flagged([START], "start"), coded(WORDS, "word")),
        unembedding=answering(WORDS),
        heads=(
            looking_back("previous", source="word", target="previous"),
            Head(
                name="induction",
                layer=1,
                looks=(Match(query="word", key="previous"), SINK),
                moves=(Move(source="word", target="answer"),),
            ),
        ),
        circuit=(
            ("embed", "previous.v"),
            ("previous", "induction.k"),
            ("embed", "induction.q"),
            ("embed", "induction.v"),
            ("induction", "final"),
        ),
    ),
    draw=_draw_induction,
)

MARK = "mark"


def _draw_before_mark(rng: np.random.Generator) -> DrawnPair:
    clean, corrupted = _two_lists(rng)
    one, other = rng.permutation(np.arange(1, SHOWN + 1))[:2].tolist()
    return DrawnPair(
        clean=(START, *clean[:one], MARK, *clean[one:]),
        corrupted=(START, *corrupted[:other], MARK, *corrupted[other:]),
        right=clean[one - 1],
        wrong=corrupted[other - 1],
    )


BEFORE_MARK = CircuitTask(
    name="before_mark",
    description="One position is marked; say the word before the mark.",
    computation=(
        "A head of layer 0 moves the word before each position into `previous`. A head of layer 1 "
        "looks at the mark and moves what the other head wrote there into `answer` (value "
        "composition)."
    ),
    needs=("value from head",),
    blueprint=Blueprint(
        vocabulary=(START, MARK, *WORDS),
        layers=2,
        length=SHOWN + 2,
        subspaces={"start": 1, "mark": 1, "word": 24, "previous": 24, "answer": 24},
        embedding=merged(flagged([START], "start"), flagged([MARK], "mark"), coded(WORDS, "word")),
        unembedding=answering(WORDS),
        heads=(
            looking_back("previous", source="word", target="previous"),
            Head(
                name="fetch",
                layer=1,
                looks=(Match(query="one", key="mark"), SINK),
                moves=(Move(source="previous", target="answer"),),
            ),
        ),
        circuit=(
            ("embed", "previous.v"),
            ("previous", "fetch.v"),
            ("embed", "fetch.k"),
            ("fetch", "final"),
        ),
    ),
    draw=_draw_before_mark,
)
