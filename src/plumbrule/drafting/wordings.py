"""Short texts: their phrases, and how like two are by words, letters or a sentence encoder."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from plumbrule.constitution.wording import condition, stems, words
from plumbrule.errors import DataError

Embed = Callable[[Sequence[str]], np.ndarray]
"""Takes texts, gives a row of numbers each; near rows mean like texts."""

LETTERS = (3, 5)
"""Lengths of the runs of letters that are counted; they see through slips of the pen."""

LONGEST_PHRASE = 3
"""Words of a phrase that is no whole sentence."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")

BESIDE_AN_ENCODER = 0.5
"""Weight of words and letters beside an encoder, which alone takes opposites for neighbors."""

_SAID_OF_ALL = frozenset(
    stems(
        """
        assistant ai ais chatbot bot model always never not no nor without ought ever let stop
        think view opinion should must please
        """.split()  # noqa: SIM905 - a list of words reads as one
    )
)
"""Stems that say nothing of a view: whom it is about, and that it is one."""


def content_stems(text: str) -> list[str]:
    """Stems of the words that say what a statement is about.

    Example:
        >>> content_stems("I think the AI should never share private details.")
        ['shar', 'privat', 'detail']
    """
    return [stem.removesuffix("e") for stem in stems(words(text)) if stem not in _SAID_OF_ALL]


def demands(text: str) -> bool:
    """Whether a statement demands something rather than forbids it, by how often it denies.

    Example:
        >>> demands("The AI should be kind."), demands("The AI should never be unkind.")
        (True, False)
    """
    return condition(text).demands


def word_vectors(texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
    """Unit rows of the texts' words weighted by rarity; zeros for one that says nothing."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(content_stems(text) for text in texts):
        return np.zeros((len(texts), 1))
    terms = TfidfVectorizer(
        tokenizer=content_stems, token_pattern=None, lowercase=False, sublinear_tf=True
    ).fit_transform(texts)
    return np.asarray(terms.toarray(), dtype=np.float64)


def text_vectors(texts: Sequence[str], embed: Embed | None = None) -> Float[np.ndarray, "N D"]:
    """Unit rows of which the products say how like two texts are.

    Args:
        texts: Texts.
        embed: A sentence encoder; without one, words and runs of letters count, half each.

    Raises:
        DataError: The encoder gives other than one row of finite numbers a text.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    parts = [word_vectors(texts)]
    joined = [" ".join(content_stems(text)) for text in texts]
    if any(len(text) > LETTERS[0] for text in joined):
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=LETTERS, sublinear_tf=True)
        parts.append(np.asarray(letters.fit_transform(joined).toarray(), dtype=np.float64))
    plain = _unit(np.hstack(parts))
    if embed is None:
        return plain
    rows = np.asarray(embed(texts), dtype=np.float64)
    if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
        raise DataError(
            f"expected {len(texts)} rows of finite numbers from the encoder, got the shape "
            f"{rows.shape}"
        )
    # All texts are about one thing: what they share would make all of them alike.
    return _unit(np.hstack([_unit(rows - rows.mean(0)), BESIDE_AN_ENCODER * plain]))


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


@lru_cache(maxsize=65536)
def parts_of(text: str) -> frozenset[str]:
    """Sentences of a text and its runs of up to three words, in small letters without marks.

    Example:
        >>> sorted(parts_of("Boil it. Stir!"))
        ['boil', 'boil it', 'it', 'stir']
    """
    found = set(sentences_of(text))
    for sentence in sentences_of(text):
        words = sentence.split()
        found |= {
            " ".join(words[at : at + length])
            for length in range(1, LONGEST_PHRASE + 1)
            for at in range(len(words) - length + 1)
        }
    return frozenset(found)


@lru_cache(maxsize=65536)
def sentences_of(text: str) -> tuple[str, ...]:
    """Sentences of a text, in order, in small letters without marks."""
    found = (
        " ".join(word.lower().replace("\u2019", "'") for word in _WORD.findall(part))
        for part in _SENTENCE.split(text)
    )
    return tuple(each for each in found if each)
