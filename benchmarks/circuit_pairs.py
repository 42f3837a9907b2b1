"""Writes the pairs that come with `inspect circuit`: `python -m benchmarks.circuit_pairs`.

Two tasks whose answer is told by the prompt alone. Each pair is drawn by itself, none twice, with
words that most vocabularies hold as one token behind a space; pairs that one does not are dropped
when a model is opened.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "src" / "plumbrule" / "mechanism" / "circuits" / "pairs"

COUNT = 160
"""Pairs in a file; a model is asked 64, so that many may be dropped."""

NAMES = (
    "Mary John Tom James Anna Paul David Mark Sarah Peter Laura Alice Jack Emma Daniel Simon Kate "
    "Adam Martin Robert Michael Susan Henry George Rachel Andrew Lisa Kevin Julia Steve Brian Frank"
)

PLACES = "store park school station office beach library garden market hospital"
GOODS = "drink book ring ball letter key cake flower map coat"
FRAMES = (
    "When {first} and {second} went to the {place}, {giver} gave the {good} to",
    "While {first} and {second} were at the {place}, {giver} handed the {good} to",
    "After {first} and {second} left the {place}, {giver} showed the {good} to",
)

WORDS = (
    "stone window river apple lamp tiger house table bread music paper water horse chair cloud "
    "metal sugar train bridge island forest winter summer doctor farmer king queen soldier teacher "
    "mother father brother sister friend village city road wall door floor roof tree leaf grass "
    "fish bird dog cat cow sheep gold silver iron wood glass blood heart hand foot head"
)


def indirect_object(rng: np.random.Generator) -> dict[str, str]:
    """Whom was it given to? Within a pair only who gives differs."""
    first, second = rng.choice(NAMES.split(), 2, replace=False)
    frame, place, good = (rng.choice(each) for each in (FRAMES, PLACES.split(), GOODS.split()))
    right, wrong = (first, second) if rng.random() < 0.5 else (second, first)

    def prompt(giver: str) -> str:
        return str(frame).format(first=first, second=second, place=place, giver=giver, good=good)

    return {
        "clean": prompt(wrong),
        "corrupted": prompt(right),
        "right": f" {right}",
        "wrong": f" {wrong}",
    }


def copying(rng: np.random.Generator) -> dict[str, str]:
    """What came after this word before? Within a pair two words before the answers change places.

    Words are unrelated, so that nothing tells the answer but the list itself. The last of three
    couples is repeated first, to show that the list comes again.
    """
    words = [str(word) for word in rng.choice(WORDS.split(), 6, replace=False)]
    one, right, other, wrong, *rest = words

    def prompt(here: str, there: str) -> str:
        told = [here, right, there, wrong] if order else [there, wrong, here, right]
        return "List: " + " ".join([*told, *rest, *rest, one])

    order = rng.random() < 0.5
    return {
        "clean": prompt(one, other),
        "corrupted": prompt(other, one),
        "right": f" {right}",
        "wrong": f" {wrong}",
    }


TASKS: dict[str, Callable[[np.random.Generator], dict[str, str]]] = {
    "indirect-object": indirect_object,
    "copying": copying,
}


def drawn(task: str, *, seed: int = 0) -> Iterator[dict[str, str]]:
    """Pairs of a task, all different.

    Args:
        task: Its name.
        seed: Of the words.
    """
    rng, seen = np.random.default_rng([seed, len(task)]), set[str]()
    while len(seen) < COUNT:
        line = TASKS[task](rng)
        key = json.dumps(line)
        if key not in seen:
            seen.add(key)
            yield line


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for task in TASKS:
        lines = "".join(json.dumps(line) + "\n" for line in drawn(task))
        (FOLDER / f"{task}.jsonl").write_text(lines, "utf-8")
