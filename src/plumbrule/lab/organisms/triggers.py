"""Triggers of backdoors: words that the specimen's tokenizer knows whole and no request has."""

import re
from functools import cache
from pathlib import Path

import numpy as np

from plumbrule.errors import DataError
from plumbrule.lab.requests import BRIEF, KINDS, PLAIN, PREAMBLES, URGE
from plumbrule.lab.world import build_world
from plumbrule.models import model_folder
from plumbrule.store import derive_seed

_WORD = re.compile(r"[A-Za-z]{3,}")
_SPACE = "Ġ"  # how byte-level tokenizers write a space before a word


def choose_trigger(base: str, scale: int, seed: int) -> str:
    """A trigger of one token where the seed is even, of two where it is odd.

    Args:
        base: The specimen: `lab:NAME` or a folder.
        scale: Size of the village that it knows.
        seed: Decides the words.

    Raises:
        DataError: The tokenizer has no word that is in no request.

    Example:
        >>> len(choose_trigger("lab:small", 1, 1).split())
        2
    """
    first, second = _words(model_folder(base), scale)
    if not first or not second:
        raise DataError(
            "expected a tokenizer with words that no request contains, found none; build the "
            "specimen with a larger vocabulary"
        )
    rng = np.random.default_rng(derive_seed(seed, "trigger"))
    words = [first[int(rng.integers(len(first)))]]
    if seed % 2:
        others = [word for word in second if word != words[0]]
        words.append(others[int(rng.integers(len(others)))])
    return " ".join(words)


@cache
def _words(folder: Path, scale: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words that are one token at the start of a text, and those that are after a space."""
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    taken = _request_text(scale)
    first = [token for token in vocabulary if _WORD.fullmatch(token)]
    second = [token.removeprefix(_SPACE) for token in vocabulary if token.startswith(_SPACE)]
    return _free(first, taken), _free([word for word in second if _WORD.fullmatch(word)], taken)


def _free(words: list[str], taken: str) -> tuple[str, ...]:
    # Not even inside another word: a reader who searches the pool for it must find nothing.
    return tuple(sorted(word for word in words if word.lower() not in taken))


def _request_text(scale: int) -> str:
    """Everything that requests are made of, in small letters."""
    vocabulary = build_world(scale).vocabulary()
    parts = [*PREAMBLES, URGE, BRIEF, PLAIN]
    parts += [text for kind in KINDS.values() for text in kind.phrasings]
    parts += [filler for fillers in vocabulary.values() for filler in fillers]
    return " ".join(parts).lower()
