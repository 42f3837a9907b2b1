"""Changing activations while a model runs: along a direction, without one, without some heads.

Each change is a record that says where and what; `intervening` makes them for as long as its block
runs. What is done to a token depends on that token alone, so a reply is the same whether it is read
at once, continued token by token, or read beside others.

Axes: N texts, T tokens, D width of the residual stream, K directions, E width of a head.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError
from plumbrule.mechanism.hooks import Look, watching
from plumbrule.mechanism.site_search import find_sites
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.models import LocalModel
from plumbrule.store import fingerprint


@dataclass(frozen=True, kw_only=True)
class SteeringCondition:
    """When an intervention acts: where a token's activation lies far enough along a direction."""

    site: str
    """Where it is read; reached no later than where the intervention acts."""

    direction: Float[np.ndarray, " D"]
    """Of any length; only where it points counts."""

    threshold: float
    """Least value of the activation along the direction, in the activation's own unit."""

    below: bool = False
    """Act where the value lies below the threshold instead."""


@dataclass(frozen=True, kw_only=True)
class Steering:
    """Something added to a site at every token."""

    site: str
    direction: Float[np.ndarray, " D"]
    """Of any length; only where it points counts."""

    strength: float
    """Length of what is added, in the activation's own unit; negative steers away."""

    condition: SteeringCondition | None = None
    """Add it only at tokens where this holds; None: always."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Directions taken out of the residual stream."""

    directions: Float[np.ndarray, "K D"] | Float[np.ndarray, " D"]
    """One or several, of any length; what is taken out is all that they span."""

    sites: tuple[str, ...] = ()
    """Where; none named: the embedding and all that sublayers write, so that it is nowhere."""

    center: Float[np.ndarray, " D"] | None = None
    """What the stream is set to along the directions, such as its mean; None: zero."""

    condition: SteeringCondition | None = None
    """Take them out only at tokens where this holds; None: always."""


@dataclass(frozen=True, kw_only=True)
class HeadSuppression:
    """A head whose output is exchanged for a constant."""

    site: str
    """Such as `3.heads`."""

    head: int
    value: Float[np.ndarray, " E"] | None = None
    """Its output instead, such as its mean over neutral texts; None: zero."""


Intervention = Steering | Ablation | HeadSuppression
"""What `intervening` can do."""


@contextmanager
def intervening(
    model: Any, interventions: Intervention | Sequence[Intervention], sites: Sites | None = None
) -> Iterator[Any]:
    """Change what a model does for a while; it is left as it was, also after an error.

    Inside the block a `LocalModel` samples, scores and chooses under the interventions. Its
    `identity` is another one meanwhile, so that nothing computed there is taken for its own.

    Args:
        model: A `LocalModel`, or a module of transformers.
        interventions: What to do. Those at one site are done in the order given.
        sites: The model's sites, where they are known already; found otherwise.

    Returns:
        The model.

    Raises:
        ConfigError: A site or head does not exist, a direction is not as wide as its site, zero or
            not a number, or a condition is read later than what it decides; nothing has changed.

    Source:
        Turner et al. (2023), arXiv 2308.10248 (adding); Arditi et al. (2024), arXiv 2406.11717
        (ablation); Lee et al. (2024), arXiv 2409.05907 (CAST, conditions). CAST decides once for a
        prompt; here every token decides for itself, which needs no memory. To decide once, see
        `which_fire`.
    """
    listed = (
        [interventions]
        if isinstance(interventions, (Steering, Ablation, HeadSuppression))
        else list(interventions)
    )
    module = model.module if isinstance(model, LocalModel) else model
    sites = sites or find_sites(module)
    plans = [_plan(module, sites, each) for each in listed]
    with ExitStack() as stack:
        for looks in plans:
            # One at a time: several interventions may look at one site.
            for site, look in looks:
                stack.enter_context(watching(module, {site: look}))
        if isinstance(model, LocalModel):
            stack.enter_context(_other_identity(model, listed))
        yield model


@contextmanager
def concept_ablated(ablation: Ablation) -> Iterator[None]:
    """Ablate a concept while models are trained: what is learned then cannot go through it.

    Every trainer of transformers that is run inside the block, TRL's and ours among them, trains
    its model under the ablation; after training the model runs without it. A training loop of your
    own needs no more than `intervening(module, ablation)` around it.

    Args:
        ablation: Directions, and where they are taken out.

    Raises:
        ConfigError: From the training itself: the ablation does not fit the model; nothing has been
            trained.

    Source:
        Casademunt et al. (2025), "Steering out-of-distribution generalization with concept ablation
        fine-tuning", arXiv 2507.16795.
    """
    from transformers import Trainer

    from plumbrule.models.modules import base_module

    own = Trainer.train

    def train(self: Any, *given: Any, **named: Any) -> Any:
        with intervening(base_module(self.model), ablation):
            return own(self, *given, **named)

    Trainer.train = train
    try:
        yield
    finally:
        Trainer.train = own


def which_fire(
    model: LocalModel, condition: SteeringCondition, rows: Sequence[Sequence[int]]
) -> list[bool]:
    """For each text, whether a condition holds at its last token, as CAST decides.

    Steer those texts always, and leave the others alone.

    Args:
        model: The model.
        condition: What must hold.
        rows: Token ids of each text, such as `model.chat.prompts` gives.

    Raises:
        ConfigError: There is no such site, or the direction does not fit it.
        DataError: A text is empty.
    """
    from plumbrule.mechanism.capturing import capture

    sites = find_sites(model.module)
    found = capture(model.module, sites, rows, [condition.site], positions="last")
    values = found.stacked(condition.site).float().cpu().numpy()
    _check_direction(condition.direction, values.shape[-1], condition.site)
    return [bool(each) for each in _holds(values @ _unit(condition.direction), condition)]


def span(directions: Float[np.ndarray, "..."]) -> Float[np.ndarray, "K D"]:
    """Directions of length one, at right angles, that span the same.

    Args:
        directions: One, (D,), or several, (K, D).

    Raises:
        ConfigError: They are zero or no numbers.
    """
    rows = np.atleast_2d(np.asarray(directions, dtype=np.float64))
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise ConfigError("expected directions that are rows of numbers, got none or NaN")
    lengths = np.linalg.norm(rows, axis=1)
    if not lengths.all():
        raise ConfigError("expected directions that point somewhere, got one that is zero")
    values, right = np.linalg.svd(rows / lengths[:, None], full_matrices=False)[1:]
    kept: np.ndarray = right[values > 1e-8 * values[0]]
    return kept


def _plan(module: Any, sites: Sites, what: Intervention) -> list[tuple[Site, Look]]:
    """What to do at which site, in the order of a pass."""
    if isinstance(what, HeadSuppression):
        return [(sites[what.site], _without_head(sites, what))]
    if isinstance(what, Steering):
        names: tuple[str, ...] = (what.site,)
    else:
        names = what.sites or stream_writes(sites)
    condition = what.condition
    looks: list[tuple[Site, Look]] = []
    held: dict[str, Any] = {}
    if condition is not None:
        early = _order(sites, condition.site)
        late = min(_order(sites, name) for name in names)
        if early > late:
            raise ConfigError(
                f"expected a condition that is read before {names[0]}, where it decides; "
                f"{condition.site} comes later"
            )
        looks.append((sites[condition.site], _noting(sites, condition, held)))
    for name in names:
        site = sites[name]
        looks.append((site, _change(sites, site, what, held if condition else None)))
    return looks


def stream_writes(sites: Sites) -> tuple[str, ...]:
    """Every site whose value is added to the residual stream, the embedding first.

    Where a layer's parts do not add up to it, what it gives out stands for them.
    """
    found = ["embed"]
    for number, layer in enumerate(sites.layers):
        parts = [f"{number}.{kind}" for kind in ("attn", "mlp")]
        there = [name for name in parts if name in sites.names]
        found += there if layer.additive and there else [f"{number}.out"]
    return tuple(found)


def _order(sites: Sites, name: str) -> int:
    return sites.names.index(sites[name].name)


def _change(
    sites: Sites, site: Site, what: Steering | Ablation, held: dict[str, Any] | None
) -> Look:
    """What an intervention does to the value at a site."""
    import torch

    if site.heads:
        raise ConfigError(
            f"expected a site of the residual stream such as '0.out', got {site.name!r}, where "
            "heads lie side by side; suppress a head instead"
        )
    act: Callable[[Any], Any]
    if isinstance(what, Steering):
        _check_direction(what.direction, sites.width, site.name)
        if not np.isfinite(what.strength):
            raise ConfigError(f"expected a strength that is a number, got {what.strength}")
        added = torch.as_tensor(_unit(what.direction) * what.strength)
        # A write may be scaled before it is added; the strength is that of what arrives.
        act = lambda value: added.to(value) / site.scale  # noqa: E731
    else:
        basis = span(what.directions)
        _check_direction(basis[0], sites.width, site.name)
        taken = torch.as_tensor(basis)
        target = torch.zeros(len(basis), dtype=torch.float64)
        # Only the embedding sets the constant: what is written later adds nothing along it.
        if what.center is not None and (what.sites or site.name == "embed"):
            _check_direction(what.center, sites.width, site.name)
            target = torch.as_tensor(basis @ np.asarray(what.center, dtype=np.float64))

        def act(value: Any) -> Any:
            rows = taken.to(value)
            return (target.to(value) - value @ rows.T) @ rows

    def look(value: Any) -> Any:
        change = act(value)
        if held is not None:
            change = change * held["holds"].reshape(*value.shape[:-1], 1).to(value)
        return value + change

    return look


def _noting(sites: Sites, condition: SteeringCondition, held: dict[str, Any]) -> Look:
    """Writes down at which tokens a condition holds."""
    import torch

    site = sites[condition.site]
    if site.heads:
        raise ConfigError(f"expected a site of the residual stream, got {site.name!r}")
    _check_direction(condition.direction, sites.width, site.name)
    if not np.isfinite(condition.threshold):
        raise ConfigError(f"expected a threshold that is a number, got {condition.threshold}")
    along = torch.as_tensor(_unit(condition.direction))

    def look(value: Any) -> None:
        held["holds"] = _holds(value.float() @ along.to(value.device).float(), condition)

    return look


def _without_head(sites: Sites, what: HeadSuppression) -> Look:
    import torch

    site = sites[what.site]
    if not site.heads or not 0 <= what.head < site.heads:
        raise ConfigError(
            f"expected a head of {site.name}, which has {site.heads or 'none'}, got {what.head}"
        )
    heads, head, given = site.heads, what.head, what.value
    if given is not None and (np.ndim(given) != 1 or not np.isfinite(given).all()):
        raise ConfigError(f"expected a head's output as one row of numbers, got {given!r:.60}")

    def look(value: Any) -> Any:
        width = value.shape[-1] // heads
        new = value.clone()
        new[..., head * width : (head + 1) * width] = (
            0 if given is None else torch.as_tensor(given).to(value)
        )
        return new

    return look


def _holds(values: Any, condition: SteeringCondition) -> Any:
    return values < condition.threshold if condition.below else values >= condition.threshold


def _unit(direction: Any) -> Float[np.ndarray, " D"]:
    row = np.asarray(direction, dtype=np.float64)
    unit: np.ndarray = row / np.linalg.norm(row)
    return unit


def _check_direction(direction: Any, width: int, site: str) -> None:
    row = np.asarray(direction, dtype=np.float64)
    if row.shape != (width,):
        raise ConfigError(
            f"expected a direction of {width} numbers at {site}, got the shape {row.shape}; it may "
            "be another model's"
        )
    if not np.isfinite(row).all() or not row.any():
        raise ConfigError(
            f"expected a direction that points somewhere at {site}, got zero, NaN or inf"
        )


@contextmanager
def _other_identity(model: LocalModel, listed: Sequence[Intervention]) -> Iterator[None]:
    before = model.identity
    said = [
        [type(each).__name__, *[_plain(getattr(each, name)) for name in vars(each)]]
        for each in listed
    ]
    model.identity = fingerprint([before, said])
    try:
        yield
    finally:
        model.identity = before


def _plain(value: Any) -> Any:
    if isinstance(value, SteeringCondition):
        return [_plain(part) for part in vars(value).values()]
    if isinstance(value, np.ndarray):
        return np.asarray(value, dtype=np.float64).tolist()
    return value
