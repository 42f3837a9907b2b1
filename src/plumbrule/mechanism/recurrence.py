"""What recurs in another model: heads that look at the same places, features active together.

Partners are chosen on one half of the sequences or texts and tested on the other, so that having
chosen the best of many is paid for. A head recurs if its partner looks where it looks by more than
the best head of the same architecture with random weights; a feature, if its partner is active with
it by more than the same partner is on another text. e-BH decides over all that were tested.

Axes: B sequences, H heads of one model, K heads of the other, T tokens, F features of one model, G
features of the other, W words.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism.parts.heads import attention_patterns, repeated_tokens
from plumbrule.mechanism.sites import Sites
from plumbrule.records import Estimate, strict
from plumbrule.statistics import e_bh, paired_difference, paired_e_value
from plumbrule.store import derive_seed

LEAST_TEXTS = 8
"""Texts of the testing half in which a feature must be active to be tested."""

STRONG = 0.99
"""Quantile of a feature's activations that counts as 1; what is stronger counts as 1 too."""


@strict
@dataclass(frozen=True, kw_only=True)
class HeadMatch:
    """A head of one model and the head of another that looks at the same places."""

    layer: int
    head: int
    match_layer: int
    match_head: int

    overlap: float
    """Share of attention that both spend on the same tokens, 0 to 1, on the testing half."""

    untrained_overlap: float
    """The same with the best head of the other architecture with random weights."""

    advantage: Estimate
    e_value: float
    confirmed: bool
    """Whether it is among the heads claimed to recur."""


@strict
@dataclass(frozen=True, kw_only=True)
class FeatureMatch:
    """A feature of one model and the feature of another that is active on the same words."""

    feature: int
    match: int
    correlation: float
    """Of the two activations over the words of the choosing half."""

    overlap: float | None
    """Mean over texts of the testing half, 0 to 1: what both have in common over what either has;
    None where it was not tested."""

    advantage: Estimate | None
    """The same less the overlap with the partner on another text."""

    e_value: float | None
    confirmed: bool

    reason: str | None
    """Why it was not tested."""


def match_heads(
    one: tuple[Any, Sites],
    other: tuple[Any, Sites],
    *,
    seed: int,
    sequences: int = 64,
    length: int = 20,
    level: float = 0.05,
    minimum_advantage: float = 0.1,
) -> tuple[HeadMatch, ...]:
    """Which heads of one model recur in another, of whatever size, family and vocabulary.

    Both read random tokens of their own vocabularies, twice in a row, so that nothing but the
    position and the repetition is common.

    Args:
        one: A model and its sites; its heads are looked for.
        other: The model in which they are looked for, and its sites. Both are left as they were.
        seed: Of the tokens and of the random weights.
        sequences: Sequences; partners are chosen on the first half, and tested on the second.
        length: Tokens of a sequence before it is repeated.
        level: Largest expected share of false claims among the heads claimed to recur.
        minimum_advantage: Least advantage over random weights that is worth a claim.

    Returns:
        Every head of `one`, those confirmed first and then by advantage.

    Raises:
        ConfigError: Too few sequences or tokens.
        ModelError: A model does not give its attention out, or cannot be made anew from its
            configuration.
    """
    if length < 3 or sequences < 4:
        raise ConfigError(
            f"length must be at least 3 and sequences at least 4, got {length} and {sequences}"
        )
    patterns = [
        _second_round(module, sites, sequences=sequences, length=length, seed=seed)
        for module, sites in (one, other, (_untrained(other[0], seed), other[1]))
    ]
    half = sequences // 2
    rows = np.arange(half, sequences)
    partners, there = _best(patterns[0], patterns[1], half)
    _, elsewhere = _best(patterns[0], patterns[2], half)
    e_values = np.array(
        [
            paired_e_value(
                elsewhere[head, rows],
                there[head, rows],
                minimum_effect=minimum_advantage,
                alternative="increase",
            )
            for head in range(len(partners))
        ]
    )
    confirmed = e_bh(e_values, level=level)
    found = []
    for head, (layer, number) in enumerate(_heads(one[1])):
        match_layer, match_head = _heads(other[1])[partners[head]]
        found.append(
            HeadMatch(
                layer=layer,
                head=number,
                match_layer=match_layer,
                match_head=match_head,
                overlap=float(there[head, rows].mean()),
                untrained_overlap=float(elsewhere[head, rows].mean()),
                advantage=paired_difference(
                    elsewhere[head, rows],
                    there[head, rows],
                    level=1 - level,
                    unit="share of attention per sequence",
                ),
                e_value=float(e_values[head]),
                confirmed=bool(confirmed[head]),
            )
        )
    return tuple(sorted(found, key=lambda each: (not each.confirmed, -each.advantage.value)))


def _second_round(
    module: Any, sites: Sites, *, sequences: int, length: int, seed: int
) -> list[Float[np.ndarray, "B H T2 T"]]:
    """Where each head looks while the tokens come again, layer by layer."""
    import torch

    ids = torch.tensor(
        repeated_tokens(sites.vocabulary, sequences, length, seed=seed),
        device=next(module.parameters()).device,
    )
    return [pattern[:, :, length:] for pattern in attention_patterns(module, sites, ids)]


def _untrained(module: Any, seed: int) -> Any:
    """The same architecture with random weights."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "untrained"))
        try:
            fresh = type(module)(copy.deepcopy(module.config))
        except Exception as error:  # whatever a class raises that wants more than a configuration
            raise ModelError(
                f"{type(module).__name__} cannot be made anew from its configuration, so that "
                f"there is nothing to hold its heads against: {error}"
            ) from error
    return fresh.to(next(module.parameters()).device).eval()


def _heads(sites: Sites) -> list[tuple[int, int]]:
    """Layer and number of every head, in the order of `attention_patterns`."""
    return [
        (layer, head)
        for layer in range(len(sites.layers))
        for head in range(sites[f"{layer}.heads"].heads or 0)
    ]


def _best(
    one: Sequence[Float[np.ndarray, "B H T2 T"]],
    other: Sequence[Float[np.ndarray, "B K T2 T"]],
    half: int,
) -> tuple[Int[np.ndarray, " H"], Float[np.ndarray, "H B"]]:
    """Each head's partner by the first sequences, and their overlap on every sequence."""
    partners, overlaps = [], []
    for pattern in one:
        for head in range(pattern.shape[1]):
            overlap = np.concatenate(
                [
                    np.minimum(pattern[:, head, None], layer).sum(-1).mean(-1, dtype=np.float64)
                    for layer in other
                ],
                axis=1,
            ).clip(0.0, 1.0)
            partner = int(overlap[:half].mean(0).argmax())
            partners.append(partner)
            overlaps.append(overlap[:, partner])
    return np.array(partners), np.stack(overlaps)


def match_features(
    one: Sequence[Float[np.ndarray, "W F"]],
    other: Sequence[Float[np.ndarray, "W G"]],
    *,
    level: float = 0.05,
    minimum_advantage: float = 0.1,
) -> tuple[FeatureMatch, ...]:
    """Which features of one model recur in another.

    Args:
        one: Activations of the first model's features, text by text. Features may be neurons, or
            what a sparse dictionary gives; what is below zero counts as not active.
        other: The second model's on the same texts, word by word the same (see `by_word`).
        level: Largest expected share of false claims among the features claimed to recur.
        minimum_advantage: Least advantage over another text that is worth a claim.

    Returns:
        Every feature of `one` that is active anywhere in the choosing half, those confirmed first
        and then by advantage.

    Raises:
        DataError: Texts or words that do not correspond, fewer than 4 texts, or nothing active.
    """
    if len(one) != len(other) or len(one) < 4:
        raise DataError(
            f"expected at least 4 texts, the same for both models, got {len(one)} and {len(other)}"
        )
    for at, (first, second) in enumerate(zip(one, other, strict=True)):
        if len(first) != len(second) or not len(first):
            raise DataError(
                f"text {at}: expected as many words from both models, and one or more, got "
                f"{len(first)} and {len(second)}"
            )
    half = len(one) // 2
    left, right = _scaled(one, half), _scaled(other, half)
    table = _correlations(np.concatenate(left[:half]), np.concatenate(right[:half]))
    active = np.flatnonzero(np.isfinite(table).any(1))
    if not len(active):
        raise DataError("expected features that are active in the first half of the texts")
    matches = np.where(np.isfinite(table), table, -np.inf).argmax(1)
    tested = [_tested(left[half:], right[half:], int(each), int(matches[each])) for each in active]
    e_values = [
        None
        if pair is None
        else float(paired_e_value(*pair, minimum_effect=minimum_advantage, alternative="increase"))
        for pair in tested
    ]
    known = [at for at, each in enumerate(e_values) if each is not None]
    confirmed = np.zeros(len(active), dtype=bool)
    if known:
        confirmed[known] = e_bh(np.array([e_values[at] for at in known]), level=level)
    found = []
    for at, feature in enumerate(active):
        pair = tested[at]
        found.append(
            FeatureMatch(
                feature=int(feature),
                match=int(matches[feature]),
                correlation=float(table[feature, matches[feature]]),
                overlap=None if pair is None else float(pair[1].mean()),
                advantage=None
                if pair is None
                else paired_difference(*pair, level=1 - level, unit="overlap per text"),
                e_value=e_values[at],
                confirmed=bool(confirmed[at]),
                reason=None
                if pair is not None
                else f"active in fewer than {LEAST_TEXTS} of the {len(one) - half} testing texts",
            )
        )
    return tuple(
        sorted(
            found,
            key=lambda each: (
                not each.confirmed,
                each.advantage is None,
                -(each.advantage.value if each.advantage else each.correlation),
            ),
        )
    )


def by_word(tokenizer: Any, text: str, row: Sequence[int]) -> list[int]:
    """The place of each word's last token, so that two tokenizers can be compared.

    Args:
        tokenizer: A fast one, which knows where in the text a token is.
        text: Any text.
        row: Its tokens, as they are read; marks before and behind it are passed over.

    Returns:
        For each word between blanks, the place in `row` of its last token.

    Raises:
        DataError: The tokenizer does not say where tokens are, or reads the text otherwise.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise DataError("expected a fast tokenizer, which says where in a text each token is")
    read = tokenizer(text, return_offsets_mapping=True)
    if list(read["input_ids"])[: len(row)] != list(row):
        raise DataError("expected the tokens that the tokenizer reads the text as, got others")
    ends, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        inside = [
            place
            for place, (low, high) in enumerate(read["offset_mapping"][: len(row)])
            if low < at and high > start and high > low
        ]
        if not inside:
            raise DataError(f"no token of the text holds the word {word!r}")
        ends.append(max(inside))
    return ends


def _scaled(texts: Sequence[Float[np.ndarray, "W F"]], half: int) -> list[Float[np.ndarray, "W F"]]:
    """Activations from 0 to 1: what is below zero is 0, what is among the strongest is 1."""
    chosen = np.maximum(np.concatenate(texts[:half]), 0.0)
    strong = np.quantile(chosen, STRONG, axis=0)
    # A feature that is active on fewer words than that has its largest activation instead.
    strong = np.where(strong > 0, strong, chosen.max(0))
    safe = np.where(strong > 0, strong, 1.0)
    return [
        np.where(strong > 0, np.clip(np.maximum(text, 0.0) / safe, 0.0, 1.0), 0.0) for text in texts
    ]


def _correlations(
    one: Float[np.ndarray, "W F"], other: Float[np.ndarray, "W G"]
) -> Float[np.ndarray, "F G"]:
    """Correlation of every two features; NaN where one of both does not move."""
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = ((each - each.mean(0)) / each.std(0) for each in (one, other))
    found: np.ndarray = left.T @ right / len(one)
    return found


def _tested(
    one: Sequence[Float[np.ndarray, "W F"]],
    other: Sequence[Float[np.ndarray, "W G"]],
    feature: int,
    match: int,
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]] | None:
    """Overlap with the partner on another text and on the same, over texts where one is active."""
    active = [at for at, text in enumerate(one) if text[:, feature].any()]
    if len(active) < LEAST_TEXTS:
        return None
    pairs = []
    for at, text in enumerate(active):
        mine = one[text][:, feature]
        # Another text in which the feature is active, cut or repeated to as many words.
        strange = other[active[(at + 1) % len(active)]][:, match]
        pairs.append(
            (_overlap(mine, np.resize(strange, len(mine))), _overlap(mine, other[text][:, match]))
        )
    elsewhere, there = np.array(pairs).T
    return elsewhere, there


def _overlap(mine: Float[np.ndarray, " W"], theirs: Float[np.ndarray, " W"]) -> float:
    """What both have in common over what either has; `mine` is not zero everywhere."""
    return float(np.minimum(mine, theirs).sum() / np.maximum(mine, theirs).sum())
