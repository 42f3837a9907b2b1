"""Tasks answered by weighing: two numbers, a count of brackets, and two votes for one token.

The comparison is after Hanna, Liu & Variengien (2023), "How does GPT-2 compute greater-than?",
arXiv 2305.00586: heads bring what is compared, an MLP compares.
"""

import numpy as np

from plumbrule.lab.circuits.blueprint import Blueprint, Head, Match, Memory, Move, flag
from plumbrule.lab.circuits.tasks import CircuitTask, DrawnPair
from plumbrule.lab.circuits.words import (
    GAIN,
    SINK,
    START,
    Rows,
    coded,
    flagged,
    merged,
    named,
    scattered,
)

FILLERS = named("filler", 8)
LENGTH = 9

NUMBERS = 12
STEP = 0.25
"""How far apart two neighboring numbers are written."""

LEFT, RIGHT = named("left", NUMBERS), named("right", NUMBERS)
YES, NO = "yes", "no"


def _draw_greater(rng: np.random.Generator) -> DrawnPair:
    """Pairs in which either number, exchanged by itself, turns the answer."""
    least, less, more, most = np.sort(rng.permutation(NUMBERS)[:4]).tolist()
    if rng.random() < 0.5:
        (left, right, answer), (other_left, other_right, other) = (
            (more, less, YES),
            (least, most, NO),
        )
    else:
        (left, right, answer), (other_left, other_right, other) = (
            (less, more, NO),
            (most, least, YES),
        )
    place = int(rng.integers(1, LENGTH - 1))
    clean, corrupted = (
        scattered(rng, LENGTH, {0: START, place: LEFT[one], LENGTH - 1: RIGHT[two]}, FILLERS)
        for one, two in ((left, right), (other_left, other_right))
    )
    return DrawnPair(clean=clean, corrupted=corrupted, right=answer, wrong=other)


def _sizes(tokens: tuple[str, ...], subspace: str) -> Rows:
    return {token: {subspace: flag(STEP * at)} for at, token in enumerate(tokens)}


GREATER_THAN = CircuitTask(
    name="greater_than",
    description="Two numbers, one somewhere and one at the end; say whether the first is greater.",
    computation=(
        "A head of layer 0 looks at the left number and moves its size to the end. The MLP of "
        "layer 0 compares it with the size that the last token has itself: two neurons make a "
        "step."
    ),
    needs=("MLP from head", "MLP from embedding"),
    blueprint=Blueprint(
        vocabulary=(START, YES, NO, *LEFT, *RIGHT, *FILLERS),
        layers=2,
        length=LENGTH,
        subspaces={
            "start": 1,
            "left": 1,
            "left size": 1,
            "right size": 1,
            "moved size": 1,
            "number": 2 * NUMBERS,
            "filler": 8,
            "greater": 1,
        },
        embedding=merged(
            flagged([START], "start"),
            flagged(LEFT, "left"),
            _sizes(LEFT, "left size"),
            _sizes(RIGHT, "right size"),
            coded([*LEFT, *RIGHT], "number"),
            coded(FILLERS, "filler"),
        ),
        unembedding={
            YES: {"greater": flag(GAIN)},
            NO: {"greater": flag(-GAIN), "one": flag(GAIN)},
        },
        heads=(
            Head(
                name="fetch",
                layer=0,
                looks=(Match(query="one", key="left"), SINK),
                moves=(Move(source="left size", target="moved size"),),
            ),
        ),
        memories=(
            Memory(
                name="compare",
                layer=0,
                reads={
                    "moved size": np.full((2, 1), 1 / STEP),
                    "right size": np.full((2, 1), -1 / STEP),
                },
                # From 0 half a number below equality to 1 half a number above.
                thresholds=np.array([-0.5, 0.5]),
                writes={"greater": np.array([[1.0], [-1.0]])},
            ),
        ),
        circuit=(
            ("embed", "fetch.v"),
            ("fetch", "compare.in"),
            ("embed", "compare.in"),
            ("compare", "final"),
        ),
    ),
    draw=_draw_greater,
)

OPEN, CLOSE = "(", ")"
OUTCOMES = ("more open", "more closed", "balanced")
BRACKETS = 8
COUNT_LENGTH = BRACKETS + 2
END = "end"


def _outcome(brackets: list[str]) -> str:
    balance = brackets.count(OPEN) - brackets.count(CLOSE)
    return OUTCOMES[0] if balance > 0 else OUTCOMES[1] if balance < 0 else OUTCOMES[2]


def _draw_brackets(rng: np.random.Generator) -> DrawnPair:
    found: list[tuple[tuple[str, ...], str]] = []
    for want in rng.permutation(len(OUTCOMES))[:2].tolist():
        while True:
            brackets = [(OPEN, CLOSE, "blank")[at] for at in rng.integers(3, size=BRACKETS)]
            if _outcome(brackets) == OUTCOMES[want]:
                break
        found.append(((START, *brackets, END), OUTCOMES[want]))
    (clean, right), (corrupted, wrong) = found
    return DrawnPair(clean=clean, corrupted=corrupted, right=right, wrong=wrong)


BRACKET_COUNT = CircuitTask(
    name="bracket_count",
    description="Brackets open and close; say which there are more of, or that it balances.",
    computation=(
        "A head of layer 0 looks at all positions alike, so that it writes the mean of +1 for an "
        "opening and -1 for a closing bracket. The MLP of layer 1 has a step on either side of 0."
    ),
    needs=("MLP from head",),
    blueprint=Blueprint(
        vocabulary=(START, END, OPEN, CLOSE, "blank", *OUTCOMES),
        layers=2,
        length=COUNT_LENGTH,
        subspaces={"sign": 1, "token": 5, "balance": 1, "answer": 3},
        embedding=merged(
            {OPEN: {"sign": flag(1.0)}, CLOSE: {"sign": flag(-1.0)}},
            coded((START, END, OPEN, CLOSE, "blank"), "token"),
        ),
        unembedding={
            OUTCOMES[0]: {"answer": GAIN * np.array([1.0, 0.0, 0.0])},
            OUTCOMES[1]: {"answer": GAIN * np.array([0.0, 1.0, 0.0])},
            # Balanced unless a step says otherwise.
            OUTCOMES[2]: {"answer": GAIN * np.array([-1.0, -1.0, 0.0]), "one": flag(GAIN)},
        },
        heads=(
            Head(
                name="average",
                layer=0,
                looks=(),
                moves=(Move(source="sign", target="balance"),),
            ),
        ),
        memories=(
            Memory(
                name="steps",
                layer=1,
                reads={"balance": 2 * COUNT_LENGTH * np.array([[1.0], [1.0], [-1.0], [-1.0]])},
                # From 0 at a quarter of a bracket to 1 at three quarters.
                thresholds=np.array([0.5, 1.5, 0.5, 1.5]),
                writes={
                    "answer": np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]),
                },
            ),
        ),
        circuit=(("embed", "average.v"), ("average", "steps.in"), ("steps", "final")),
    ),
    draw=_draw_brackets,
)

SUBJECTS, ENDINGS = named("subject", 4), named("ending", 4)


def _pair(subject: int, ending: int) -> str:
    return f"pair {subject} {ending}"


def _draw_pairing(rng: np.random.Generator) -> DrawnPair:
    subjects = rng.permutation(len(SUBJECTS))[:2].tolist()
    endings = rng.permutation(len(ENDINGS))[:2].tolist()
    places = rng.permutation(np.arange(1, LENGTH - 1))[:2].tolist()
    clean, corrupted = (
        scattered(rng, LENGTH, {0: START, place: SUBJECTS[one], LENGTH - 1: ENDINGS[two]}, FILLERS)
        for place, one, two in zip(places, subjects, endings, strict=True)
    )
    right, wrong = (_pair(one, two) for one, two in zip(subjects, endings, strict=True))
    return DrawnPair(clean=clean, corrupted=corrupted, right=right, wrong=wrong)


PAIRS: Rows = {
    _pair(one, two): {"said": GAIN * np.eye(4)[one], "last": GAIN * np.eye(4)[two]}
    for one in range(4)
    for two in range(4)
}

PAIRING = CircuitTask(
    name="pairing",
    description="Say the token that stands for this subject with this last token.",
    computation=(
        "The last token votes for four answers by itself: the unembedding reads its embedding. A "
        "head of layer 1 brings the subject, which votes for four others; one answer has both."
    ),
    needs=("embedding to answer",),
    blueprint=Blueprint(
        vocabulary=(START, *SUBJECTS, *ENDINGS, *FILLERS, *PAIRS),
        layers=2,
        length=LENGTH,
        subspaces={
            "start": 1,
            "subjects": 1,
            "subject": 4,
            "last": 4,
            "filler": 8,
            "said": 4,
        },
        embedding=merged(
            flagged([START], "start"),
            flagged(SUBJECTS, "subjects"),
            coded(SUBJECTS, "subject"),
            coded(ENDINGS, "last"),
            coded(FILLERS, "filler"),
        ),
        unembedding=PAIRS,
        heads=(
            Head(
                name="bring",
                layer=1,
                looks=(Match(query="one", key="subjects"), SINK),
                moves=(Move(source="subject", target="said"),),
            ),
        ),
        circuit=(
            ("embed", "bring.k"),
            ("embed", "bring.v"),
            ("bring", "final"),
            ("embed", "final"),
        ),
    ),
    draw=_draw_pairing,
)
