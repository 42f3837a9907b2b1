"""Which parts of a model carry a change: those whose tuned weights, put into the base, bring it.

A hybrid is the base with the tuned weights of some parts. It is made in place and taken back, so
that no third model is ever in memory.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from plumbrule.behavior.weights.model_parts import Part, inner_parts, model_parts
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.models import LocalModel
from plumbrule.records import strict
from plumbrule.store import fingerprint

Effect = Callable[[LocalModel], float]
"""Measures one behavior of a model, the same way each time; any unit."""


@strict
@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of an effect one part brings when it alone is taken from the tuned model."""

    part: str

    share: float | None
    """0 is the base, 1 the tuned model; it may lie outside. None where it was not measured."""


@strict
@dataclass(frozen=True, kw_only=True)
class Localization:
    """Where in the weights an effect sits."""

    kept: tuple[str, ...]
    """The parts that the search could not do without: layers and what lies around them."""

    restored: float
    """Share of the effect that these parts bring together."""

    inner: tuple[str, ...]
    """The same search inside them: attention, MLP and the like."""

    inner_restored: float
    """Share that the inner parts bring together."""

    without: float | None
    """Share left when all but the kept parts are taken from the tuned model; None where nothing
    is left over. Near 0: the effect needs them. Near `restored`: it is also elsewhere."""

    shares: tuple[Share, ...]
    """Each layer, and each part around them, alone."""

    proper: bool
    """False where no smaller set than all changed parts brought the wanted share."""

    reason: str
    """What the reader may conclude, in one sentence."""

    base_effect: float
    tuned_effect: float
    """What the measure gave for the two models, in its own unit."""

    evaluations: int
    """Times the effect was measured, base and tuned included."""


@contextmanager
def hybrid(base: LocalModel, tuned: LocalModel, tensors: Iterable[str]) -> Iterator[LocalModel]:
    """The base with some tensors of the tuned model, until the block is left.

    Nothing is copied: the base's modules point at the tuned weights for a while, so neither model
    may be trained inside the block.

    Args:
        base: Changed in place, and put back on leaving, also after an error.
        tuned: Where the tensors come from.
        tensors: Names as `state_dict` gives them; tied tensors go together.

    Raises:
        ModelError: A name is not in both models, or with another shape.
    """
    import torch

    names = tuple(tensors)
    ours, theirs = (dict(one.module.state_dict(keep_vars=True)) for one in (base, tuned))
    for name in names:
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape:
            raise ModelError(
                f"expected {name[:200]!r} in both models with one shape, so that it can be "
                "exchanged; leave it out"
            )
    before = {name: ours[name].data for name in names}
    identity = base.identity
    try:
        with torch.no_grad():
            for name in names:
                ours[name].data = theirs[name].data.to(before[name])
        if names:
            base.identity = fingerprint([identity, tuned.identity, sorted(names)])
        yield base
    finally:
        for name, value in before.items():
            ours[name].data = value
        base.identity = identity


def localize(
    base: LocalModel,
    tuned: LocalModel,
    effect: Effect,
    *,
    wanted: float = 0.8,
    every_share: bool = True,
) -> Localization:
    """Find the parts of the tuned model that bring an effect into the base.

    Contiguous groups of layers are taken away as long as the rest brings the wanted share: halves
    first, then quarters, then single ones. An effect of one layer costs about twice log2 of their
    number, one that is spread about twice their number.

    Args:
        base: The model before the change; left as it was, also after an error.
        tuned: The model after it.
        effect: What is localized. It should measure many prompts at once: a share is no better
            than the measure, and one that draws replies should use the same seeds each time.
        wanted: Share of the effect that the kept parts must bring, between 0 and 1.
        every_share: Also measure each changed layer alone: one evaluation more for each.

    Returns:
        The kept parts and what they bring. Where parts only work together, they are kept
        together; the search ends at a set from which no group it tried can be taken, which need
        not be the smallest there is.

    Raises:
        DataError: The effect is the same in both models, or no number.
        ModelError: The models differ in shape where it matters, or have no list of layers.
        ConfigError: `wanted` is not between 0 and 1.
    """
    if not 0 < wanted <= 1:
        raise ConfigError(f"wanted must be above 0 and at most 1, got {wanted}")
    parts = changed_parts(base, tuned)
    search = _LayerSearch(base, tuned, effect)
    kept = search.contract(parts, wanted)
    pieces = [piece for part in kept for piece in _changed_pieces(base, tuned, part)]
    inner = search.contract(pieces, wanted)
    rest = [part for part in parts if part not in kept]
    alone = parts if every_share else ()
    shares = {part.name: search.share([part]) for part in alone}
    restored = search.share(kept)
    without = search.share(rest) if rest else None
    return Localization(
        kept=tuple(part.name for part in kept),
        restored=restored,
        inner=tuple(piece.name for piece in inner),
        inner_restored=search.share(inner),
        without=without,
        shares=tuple(Share(part=part.name, share=shares.get(part.name)) for part in parts),
        proper=len(kept) < len(parts),
        reason=_reason(kept, parts, restored, without, shares, wanted),
        base_effect=search.low,
        tuned_effect=search.high,
        evaluations=search.evaluations,
    )


def changed_parts(base: LocalModel, tuned: LocalModel) -> tuple[Part, ...]:
    """Parts that differ between the two models, with the tensors that do.

    Raises:
        DataError: None differs in a tensor that both have with one shape.
    """
    parts = []
    for part in model_parts(base.module):
        tensors = _changed(base, tuned, part.tensors)
        if tensors:
            parts.append(Part(name=part.name, layer=part.layer, tensors=tensors))
    if not parts:
        raise DataError(
            "expected two models that differ in a tensor both have, these do not; there is "
            "nothing to localize"
        )
    return tuple(parts)


@dataclass
class _LayerSearch:
    """Measures hybrids, each set once."""

    base: LocalModel
    tuned: LocalModel
    effect: Effect
    evaluations: int = 0
    low: float = 0.0
    high: float = 0.0
    _known: dict[frozenset[str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.low, self.high = self._measure(self.base), self._measure(self.tuned)
        if self.low == self.high:
            raise DataError(
                f"expected an effect that differs between the models, it is {self.low} in both; "
                "measure what changed"
            )

    def share(self, parts: Sequence[Part]) -> float:
        """Share of the effect that the base has with these parts of the tuned model."""
        tensors = frozenset(name for part in parts for name in part.tensors)
        if tensors not in self._known:
            with hybrid(self.base, self.tuned, sorted(tensors)) as mixed:
                value = self._measure(mixed)
            self._known[tensors] = (value - self.low) / (self.high - self.low)
        return self._known[tensors]

    def contract(self, parts: Sequence[Part], wanted: float) -> list[Part]:
        """Take contiguous groups away while the rest brings the wanted share."""
        kept, size = list(parts), (len(parts) + 1) // 2
        while len(kept) > 1:
            start = 0
            while start < len(kept) and len(kept) > 1:
                rest = kept[:start] + kept[start + size :]
                if rest and self.share(rest) >= wanted:
                    kept = rest
                else:
                    start += size
            if size == 1:
                break
            size = min((size + 1) // 2, (len(kept) + 1) // 2)
        return kept

    def _measure(self, model: LocalModel) -> float:
        self.evaluations += 1
        value = float(self.effect(model))
        if not math.isfinite(value):
            raise DataError(
                f"expected a finite number from the effect, got {value}; measure over prompts "
                "where it is defined"
            )
        return value


def _changed_pieces(base: LocalModel, tuned: LocalModel, part: Part) -> list[Part]:
    pieces = []
    for piece in inner_parts(base.module, part):
        tensors = tuple(name for name in piece.tensors if name in part.tensors)
        if tensors:
            pieces.append(Part(name=piece.name, layer=piece.layer, tensors=tensors))
    return pieces


def _changed(base: LocalModel, tuned: LocalModel, names: Sequence[str]) -> tuple[str, ...]:
    """Names of tensors of one shape that differ."""
    ours, theirs = (one.module.state_dict(keep_vars=True) for one in (base, tuned))
    return tuple(
        name
        for name in names
        if name in theirs
        and ours[name].shape == theirs[name].shape
        and _differ(ours[name], theirs[name])
    )


def _differ(one: Any, other: Any) -> bool:
    import torch

    one = one.detach()
    return not torch.equal(one, other.detach().to(one))


def _reason(
    kept: Sequence[Part],
    parts: Sequence[Part],
    restored: float,
    without: float | None,
    shares: dict[str, float],
    wanted: float,
) -> str:
    if restored < wanted:
        return (
            f"all {len(parts)} changed parts that can be exchanged bring {restored:.0%} of the "
            f"effect, less than the {wanted:.0%} wanted: the rest is in tensors that only one "
            "model has, or has in another shape"
        )
    if len(kept) == len(parts) and len(parts) > 1:
        most = max(shares.values(), default=None)
        alone = "" if most is None else f"; the strongest alone brings {most:.0%}"
        return (
            f"no group of the {len(parts)} changed parts could be left out without falling below "
            f"{wanted:.0%} of the effect{alone}: it is spread, or its parts only work together"
        )
    names = ", ".join(part.name for part in kept)
    text = f"{names} brought {restored:.0%} of the effect"
    if len(kept) > 1 and shares:
        total = sum(shares[part.name] for part in kept)
        if abs(total - restored) > 0.2:
            text += f", one by one {total:.0%} in sum: they do not simply add up"
    if without is not None:
        text += f"; all other changed parts together bring {without:.0%}"
    return text
