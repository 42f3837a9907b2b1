"""A repair that is fitted: a low-rank change of a few matrices that unlearns a fault.

Replies at fault become unlikely, what the model would say instead becomes likely, and on prompts
that shall stay as they are its own distribution is held at every token of whole replies. Three
things keep this cheap and narrow: only the matrices where the gradient says that the fault is
written are changed; the change is written in coordinates in which what they take in on kept
prompts has unit variance, so that it reads what those hardly use; and layers below the first
changed one are read once.

Axes: R replies, T tokens, I inputs of a matrix, O outputs, K rank, V vocabulary.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plumbrule.errors import DataError, ModelError
from plumbrule.mechanism.hooks import Look, layer_outputs, no_room, skipping, watching
from plumbrule.mechanism.repairs.replies import (
    DrawnReply,
    Violates,
    at_fault,
    draw_replies,
    wanted_replies,
)
from plumbrule.mechanism.repairs.weight_edits import WeightChange, WeightEdit, edited
from plumbrule.mechanism.repairs.writers import Writer, find_writers, refuse_quantized
from plumbrule.mechanism.site_search import find_sites
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.mechanism.tracing import with_first_tensor
from plumbrule.models import LocalModel, Sampling
from plumbrule.models.modules import evaluation_mode
from plumbrule.records import Prompt, check_ranges
from plumbrule.store import Progress, silent


@dataclass(frozen=True, kw_only=True)
class RepairSettings:
    """How a repair is fitted.

    Raises:
        ConfigError: A number is out of range.
    """

    matrices: int = 6
    """How many matrices may change, those first in which the fault is written most."""

    depth: float = 0.0
    """Share of the layers, from below, that are left alone: those are read only once."""

    rank: int = 1
    """Rank of each change."""

    steps: int = 16
    """Steps of optimization in each round."""

    rounds: int = 2
    """Times that replies are drawn; from the second on, by the model repaired so far."""

    batch: int = 8
    """Prompts that show the fault in a step, and twice as many kept ones."""

    located: int = 8
    """Prompts that show the fault by which the matrices are chosen."""

    branches: int = 16
    """First tokens tried for what to say instead."""

    learning_rate: float = 0.01
    """Step size of Adam, in what a matrix gives out for inputs of unit variance."""

    kept_weight: float = 40.0
    """Weight of staying the same on kept prompts (KL, nats a token) against the rest."""

    wanted_weight: float = 3.0
    """Weight of what is to be said instead (nats a token) against unlearning."""

    enough: float = 0.05
    """Loss of a step, kept prompts left out, at which a round ends."""

    ridge: float = 0.1
    """What is added to the variance of kept inputs, as a share of its mean."""

    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=48))
    """How replies are drawn."""

    least: int = 4
    """Replies at fault without which nothing is fitted."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            matrices=(1, 10**4),
            depth=(0, 0.99),
            batch=(1, 10**6),
            located=(1, 10**6),
            branches=(1, 10**4),
            wanted_weight=(0, 1e6),
            rank=(1, 1024),
            steps=(1, 10**5),
            rounds=(1, 100),
            learning_rate=(1e-8, 10),
            kept_weight=(0, 1e6),
            enough=(0, 100),
            ridge=(1e-8, 1e3),
            least=(1, 10**6),
        )


@dataclass(kw_only=True)
class RepairCost:
    """What a fit has read, in tokens times passes; a backward pass counts as two."""

    drawn: float = 0.0
    """Tokens read and written to draw replies."""

    passes: float = 0.0
    """Tokens of the fit itself times passes, each by the share of layers that it ran through."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.drawn + self.passes


@dataclass(frozen=True, kw_only=True)
class FittedRepair:
    """What a fit came to."""

    edit: WeightEdit
    """Empty where there was nothing to repair."""

    sites: tuple[str, ...]
    """Where it writes."""

    cost: RepairCost
    rates: tuple[float, ...]
    """Share of fitted prompts at fault: before, and before each further round."""

    curve: tuple[tuple[float, float], ...]
    """At each step: loss of its replies at fault and of what is to be said instead, and KL on its
    kept prompts in nats a token."""

    instead: int
    """Replies at fault for which the model had something else to say."""

    unjudged: int
    """Replies that the grader could not judge."""

    reason: str | None = None
    """Why nothing was fitted; None where something was."""


def fit_repair(
    model: LocalModel,
    shown: Sequence[Prompt],
    kept: Sequence[Prompt],
    violates: Violates,
    *,
    settings: RepairSettings | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> FittedRepair:
    """Find a small change of weights that unlearns a fault; the model is left as it was.

    Args:
        model: With the fault; nothing is known of what it was before.
        shown: Prompts to which its replies are at fault.
        kept: Prompts on which nothing shall change: neutral ones, and those most like `shown` that
            are rightly answered as they are.
        violates: Says whether a reply is at fault.
        settings: How it is fitted.
        seed: Decides every reply.
        progress: Told of steps done.

    Returns:
        The change, where it lies, what it cost. With fewer than `settings.least` replies at fault
        the change is empty, and `reason` says so.

    Raises:
        DataError: There are no prompts, a prompt is on both sides, or the grader can judge nothing.
        ModelError: A weight is quantized, what writes is no plain matrix, or it does not fit into
            memory. The model is as it was.

    Source:
        Unlikelihood: Welleck et al. (2020), arXiv 1908.04319. The inputs' covariance as a measure
        of what a change disturbs: Meng et al. (2022), arXiv 2202.05262. Choosing matrices by
        gradient, weighing tokens by what was already unlearned before them, and putting both
        together with KL over whole replies is ours.
    """
    settings = settings or RepairSettings()
    refuse_quantized(model.module)
    _check_prompts(shown, kept)
    cost = RepairCost()
    try:
        return _fit(model, shown, kept, violates, settings, seed, progress, cost)
    except (MemoryError, RuntimeError) as error:
        if not no_room(error):
            raise
        raise ModelError(
            "the fit does not fit into memory; take fewer or shorter prompts, or a smaller model. "
            "The model is as it was"
        ) from error


def _fit(
    model: LocalModel,
    shown: Sequence[Prompt],
    kept: Sequence[Prompt],
    violates: Violates,
    settings: RepairSettings,
    seed: int,
    progress: Progress,
    cost: RepairCost,
) -> FittedRepair:
    own = draw_replies(model, kept, violates, sampling=settings.sampling, seed=seed)
    first = draw_replies(model, shown, violates, sampling=settings.sampling, seed=seed)
    cost.drawn += sum(each.tokens for each in [*own, *first])
    judged = [each for each in first if each.violates is not None]
    if not judged:
        raise DataError(
            f"the grader could judge none of {len(first)} replies to prompts that should show the "
            "fault; nothing is known to repair"
        )
    faulty = [each for each in judged if each.violates]
    rates, unjudged = [len(faulty) / len(judged)], len(first) - len(judged)
    if len(faulty) < settings.least:
        return FittedRepair(
            edit=WeightEdit(changes=()),
            sites=(),
            cost=cost,
            rates=tuple(rates),
            curve=(),
            instead=0,
            unjudged=unjudged,
            reason=f"{len(faulty)} of {len(judged)} replies are at fault, {settings.least} are "
            "needed to fit to",
        )
    # What a kept prompt's reply does wrong shall not be held.
    held = [each for each in own if not each.violates]
    if not held:
        raise DataError("every reply to a kept prompt is at fault; there is nothing to hold to")
    shortest = max(1, min(len(each.reply) for each in held) // 2)

    def pairs(replies: Sequence[DrawnReply]) -> list[_Pair]:
        weights = at_fault(model, replies, violates)
        instead, read = wanted_replies(
            model,
            replies,
            weights,
            violates,
            sampling=settings.sampling,
            branches=settings.branches,
            shortest=shortest,
        )
        cost.drawn += read
        return [
            _Pair(
                faulty=_ReplyRow.of(each, weight),
                wanted=None if other is None else _ReplyRow.of(other, [1.0] * len(other.reply)),
            )
            for each, weight, other in zip(replies, weights, instead, strict=True)
        ]

    known = pairs(faulty)
    rows = [_ReplyRow.of(each, [1.0] * len(each.reply)) for each in held]
    fit = _Fit(model, find_sites(model.module), known, rows, settings, cost, seed)
    total, curve = settings.steps * settings.rounds, []
    for number in range(settings.rounds):
        if number:
            with edited(model, fit.edit()):
                again = draw_replies(
                    model, shown, violates, sampling=settings.sampling, seed=seed + number
                )
            cost.drawn += sum(each.tokens for each in again)
            unjudged += sum(each.violates is None for each in again)
            wrong = [each for each in again if each.violates]
            rates.append(len(wrong) / max(1, sum(each.violates is not None for each in again)))
            if not wrong:
                break
            fit.add(pairs(wrong))
        for step in range(settings.steps):
            curve.append(fit.step())
            progress(number * settings.steps + step + 1, total)
            if curve[-1][0] < settings.enough:
                break
    return FittedRepair(
        edit=fit.edit(),
        sites=tuple(each.site for each in fit.writers),
        cost=cost,
        rates=tuple(rates),
        curve=tuple(curve),
        instead=sum(each.wanted is not None for each in fit.pairs),
        unjudged=unjudged,
    )


@dataclass(eq=False)
class _ReplyRow:
    """One reply to read: its tokens, how much each counts, and what is known of it."""

    tokens: tuple[int, ...]
    start: int
    weights: tuple[float, ...]
    lower: Any = None
    """What the last layer that is not run again gave out, (T, D)."""

    own: Any = None
    """Before the repair, at each token of the reply: logarithm of the distribution for kept
    replies, (T, V), and of the token's probability for the others, (T,)."""

    @classmethod
    def of(cls, drawn: DrawnReply, weights: Sequence[float]) -> "_ReplyRow":
        return cls((*drawn.before, *drawn.reply), len(drawn.before), tuple(weights))


@dataclass(frozen=True, eq=False)
class _Pair:
    """A reply at fault, and what is to be said instead."""

    faulty: _ReplyRow
    wanted: _ReplyRow | None

    @property
    def rows(self) -> list[_ReplyRow]:
        return [self.faulty] if self.wanted is None else [self.faulty, self.wanted]


class _ReplyBatch:
    """Replies read side by side, padded on the right, where a causal model does not see it."""

    def __init__(self, rows: Sequence[_ReplyRow], device: Any) -> None:
        import torch

        self.rows = list(rows)
        self.width = max(len(row.tokens) for row in rows)
        filled = [[*row.tokens, *[row.tokens[-1]] * (self.width - len(row.tokens))] for row in rows]
        self.ids = torch.tensor(filled, device=device)
        at = [(r, t) for r, row in enumerate(rows) for t in range(row.start, len(row.tokens))]
        self.row = torch.tensor([row for row, _ in at], device=device)
        self.place = torch.tensor([place - 1 for _, place in at], device=device)
        self.targets = torch.tensor([rows[row].tokens[place] for row, place in at], device=device)
        self.weights = torch.tensor([each for row in rows for each in row.weights], device=device)
        self.lengths = [len(row.weights) for row in rows]

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(len(row.tokens) for row in self.rows)

    def lower(self) -> Any:
        """What layers below gave out, padded."""
        import torch

        return torch.nn.utils.rnn.pad_sequence([row.lower for row in self.rows], batch_first=True)


def log_probs(module: Any, sites: Sites, batch: _ReplyBatch) -> Any:
    """Logarithm of the distribution at each token of the replies, (tokens, V)."""

    def gather(value: Any) -> Any:
        # Only what decides a token of a reply is unembedded: the rest is most of the arithmetic.
        return value[batch.row, batch.place][None]

    with watching(module, {sites["final"]: gather}):
        logits = module(input_ids=batch.ids, use_cache=False)["logits"][0]
    return logits.float().log_softmax(-1)


def log_probs_of(model: LocalModel, drawn: Sequence[DrawnReply]) -> list[Any]:
    """For each reply the logarithm of the whole distribution at each of its tokens, (T, V).

    Args:
        model: Whose distribution.
        drawn: The replies.
    """
    import torch

    sites = find_sites(model.module)
    found: list[Any] = []
    device = next(model.module.parameters()).device
    rows = [_ReplyRow.of(each, [1.0] * len(each.reply)) for each in drawn]
    with evaluation_mode(model.module), torch.no_grad():
        for at in range(0, len(rows), READ_TOGETHER):
            batch = _ReplyBatch(rows[at : at + READ_TOGETHER], device)
            found += torch.split(log_probs(model.module, sites, batch), batch.lengths)
    return found


class _Fit:
    """The change that is being fitted."""

    def __init__(
        self,
        model: LocalModel,
        sites: Sites,
        pairs: Sequence[_Pair],
        held: Sequence[_ReplyRow],
        settings: RepairSettings,
        cost: RepairCost,
        seed: int,
    ) -> None:
        import torch

        self.module, self.sites, self.settings, self.cost = model.module, sites, settings, cost
        self.device = next(self.module.parameters()).device
        self.chance = np.random.default_rng(seed)
        self.pairs, self.held = list(pairs), list(held)
        lowest = math.floor(settings.depth * len(sites.layers))
        names = [
            f"{layer}.{kind}"
            for layer in range(lowest, len(sites.layers))
            for kind in ("attn", "mlp")
            if f"{layer}.{kind}" in sites.names
        ]
        writers = find_writers(self.module, sites, names)
        with evaluation_mode(self.module), _frozen(self.module):
            inputs, outs = self._read(self.held, writers, whole=True)
            located = self.pairs[: settings.located]
            gradients = self._gradients(writers, located)
            rows = [row for pair in self.pairs for row in pair.rows]
            _, others = self._read(rows, [])
        gains = [_gain(gradients[each.path], inputs[each.path]) for each in writers]
        order = np.argsort([-gain for gain in gains], kind="stable")[: settings.matrices]
        self.writers = sorted((writers[at] for at in order), key=lambda each: each.layer)
        self.first = min(each.layer for each in self.writers)
        self.parts = {
            each.path: _part(gradients[each.path], inputs[each.path], settings)
            for each in self.writers
        }
        for row in [*self.held, *rows]:
            self._keep_lower(row, {**outs, **others}[id(row)])
        self.optimizer = torch.optim.Adam(
            [weight for part in self.parts.values() for weight in part.trained],
            lr=settings.learning_rate,
            betas=(0.8, 0.95),
        )
        self.template: Any = None

    def add(self, pairs: Sequence[_Pair]) -> None:
        """More replies at fault, drawn by the model repaired so far."""
        with evaluation_mode(self.module), _frozen(self.module):
            rows = [row for pair in pairs for row in pair.rows]
            _, outs = self._read(rows, [])
        for row in rows:
            self._keep_lower(row, outs[id(row)])
        self.pairs += pairs

    def step(self) -> tuple[float, float]:
        """One step of the optimizer; the losses before it."""
        import torch

        pairs = [self.pairs[at] for at in self._chosen(len(self.pairs))]
        held = [self.held[at] for at in self._chosen(len(self.held), 2)]
        faulty = [pair.faulty for pair in pairs]
        wanted = [pair.wanted for pair in pairs if pair.wanted is not None]
        batch = _ReplyBatch([*faulty, *wanted, *held], self.device)
        ends = np.cumsum([sum(len(row.weights) for row in rows) for rows in (faulty, wanted, held)])
        self.optimizer.zero_grad(set_to_none=True)
        with evaluation_mode(self.module), _frozen(self.module), torch.enable_grad():
            found = self._run(batch)
            chosen = found[: ends[1]].gather(1, batch.targets[: ends[1], None])[:, 0]
            loss = _unlikelihood(chosen[: ends[0]], faulty) / len(pairs)
            if wanted:
                loss = loss - self.settings.wanted_weight * chosen[ends[0] :].mean()
            own = torch.cat([row.own for row in held])
            apart = (own.exp() * (own - found[ends[1] :])).sum(-1).mean()
            torch.autograd.backward(loss + self.settings.kept_weight * apart)
        self.cost.passes += 3 * batch.tokens * (1 - self.first / len(self.sites.layers))
        said = float(loss.detach()), float(apart.detach())
        if not all(math.isfinite(each) for each in said):
            raise DataError(
                "the fit diverged: its loss is NaN or infinite. Lower the learning rate; the model "
                "is as it was"
            )
        self.optimizer.step()
        return said

    def edit(self) -> WeightEdit:
        """The change as it stands."""
        changes = []
        for each in self.writers:
            left, right = self.parts[each.path].factors()
            changes.append(
                WeightChange(path=each.path, left=left, right=right, transposed=each.transposed)
            )
        return WeightEdit(changes=tuple(changes))

    def _chosen(self, count: int, times: int = 1) -> list[int]:
        found: list[int] = self.chance.permutation(count)[: times * self.settings.batch].tolist()
        return found

    def _keep_lower(self, row: _ReplyRow, outs: Mapping[int, Any]) -> None:
        if self.first:
            row.lower = outs[self.first - 1].clone()

    def _run(self, batch: _ReplyBatch) -> Any:
        """Distributions under the change, from the first changed layer on."""
        import torch

        with ExitStack() as stack:
            if self.first:
                lower = [layer.path for layer in self.sites.layers[: self.first]]
                if self.template is None:
                    with torch.no_grad():
                        found, _ = layer_outputs(self.module, lower[-1:], batch.ids[:1, :2])
                    self.template = found[lower[-1]]
                value = with_first_tensor(self.template, batch.lower())
                stack.enter_context(skipping(self.module, dict.fromkeys(lower, value)))
            for path, part in self.parts.items():
                handle = self.module.get_submodule(path).register_forward_hook(part.hook)
                stack.callback(handle.remove)
            return log_probs(self.module, self.sites, batch)

    def _read(
        self, rows: Sequence[_ReplyRow], writers: Sequence[Writer], *, whole: bool = False
    ) -> tuple[dict[str, Any], dict[int, dict[int, Any]]]:
        """Read replies once: what matrices take in, what layers give out, and how likely all is.

        Args:
            rows: The replies; they are told what is known of them.
            writers: Matrices whose inputs are wanted.
            whole: Whether whole distributions are wanted.
        """
        import torch

        inputs: dict[str, list[Any]] = {each.path: [] for each in writers}
        outs: dict[int, dict[int, Any]] = {}
        layers = range(
            max(0, math.floor(self.settings.depth * len(self.sites.layers)) - 1),
            len(self.sites.layers) - 1,
        )
        for at in range(0, len(rows), READ_TOGETHER):
            batch = _ReplyBatch(rows[at : at + READ_TOGETHER], self.device)
            given: dict[str, Any] = {}

            looks = {_inputs_of(each): _noting(given, each.path) for each in writers}
            looks |= {self.sites[f"{each}.out"]: _noting(given, f"{each}.out") for each in layers}
            with torch.no_grad(), watching(self.module, looks):
                found = log_probs(self.module, self.sites, batch)
            self.cost.passes += batch.tokens
            if not whole:
                found = found.gather(1, batch.targets[:, None])[:, 0]
            for number, (row, own) in enumerate(
                zip(batch.rows, found.split(batch.lengths), strict=True)
            ):
                row.own = own
                length = len(row.tokens)
                outs[id(row)] = {each: given[f"{each}.out"][number, :length] for each in layers}
                for each in writers:
                    value = given[each.path].reshape(len(batch.rows), batch.width, -1)
                    inputs[each.path].append(value[number, :length].float())
        return {path: torch.cat(values) for path, values in inputs.items()}, outs

    def _gradients(self, writers: Sequence[Writer], pairs: Sequence[_Pair]) -> dict[str, Any]:
        """For each matrix, how its change would favor the fault over what is to be said."""
        import torch

        taken: dict[str, Any] = {}
        given: dict[str, Any] = {}

        def keep(path: str) -> Any:
            def look(value: Any) -> None:
                taken[path] = value.detach().reshape(-1, value.shape[-1]).float()

            return look

        def leaf(path: str) -> Any:
            def look(value: Any) -> Any:
                new = value + torch.zeros_like(value).requires_grad_()
                new.retain_grad()
                given[path] = new
                return new

            return look

        batch = _ReplyBatch([row for pair in pairs for row in pair.rows], self.device)
        signs = [
            sign
            for pair in pairs
            for sign, row in zip((1.0, -1.0), pair.rows, strict=False)
            for _ in row.weights
        ]
        out = {
            Site(name=f"outputs of {each.path}", path=each.path, side="out"): leaf(each.path)
            for each in writers
        }
        with (
            torch.enable_grad(),
            watching(self.module, {_inputs_of(each): keep(each.path) for each in writers}),
            watching(self.module, out),
        ):
            chosen = log_probs(self.module, self.sites, batch).gather(1, batch.targets[:, None])
            weights = batch.weights * torch.tensor(signs, device=self.device)
            torch.autograd.backward((chosen[:, 0] * weights).sum() / len(pairs))
        self.cost.passes += 3 * batch.tokens
        return {
            path: value.grad.reshape(-1, value.shape[-1]).float().T @ taken[path]
            for path, value in given.items()
        }


READ_TOGETHER = 16
"""Replies read side by side where nothing is learned."""


def _unlikelihood(chosen: Any, rows: Sequence[_ReplyRow]) -> Any:
    """Sum over replies of how likely what is at fault still is, token by token."""
    import torch

    missed = -torch.log(-torch.expm1(chosen.clamp(max=-SURE)))
    lengths = [len(row.weights) for row in rows]
    total = missed.new_zeros(())
    for now, loss, row in zip(
        torch.split(chosen, lengths), torch.split(missed, lengths), rows, strict=True
    ):
        weights = torch.tensor(row.weights, device=chosen.device)
        # What comes after something that is not said any more need not be unlearned.
        moved = ((now - row.own) * weights).detach().clamp(max=0)
        total = total + (loss * weights * torch.exp(moved.cumsum(0) - moved)).sum()
    return total


SURE = 0.05
"""Nats below certainty above which a token counts as sure: a gradient of 1 / SURE is enough."""


@dataclass
class _White:
    """Coordinates in which what a matrix takes in on kept prompts has unit variance."""

    along: Any
    """Directions that kept inputs use, (I, N)."""

    scales: Any
    """What each is multiplied by, less what all else is."""

    rest: float
    """What all else is multiplied by."""

    @classmethod
    def of(cls, inputs: Any, ridge: float) -> "_White":
        import torch

        # The smaller of both squares: there are often fewer tokens than inputs.
        rows, columns = inputs.shape
        added = ridge * float(inputs.square().mean())
        square = inputs @ inputs.T if rows < columns else inputs.T @ inputs
        values, vectors = torch.linalg.eigh(square / rows)
        kept = values > 1e-6 * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        if rows < columns:
            vectors = inputs.T @ vectors / (values * rows).sqrt()
        rest = added**-0.5
        return cls(along=vectors, scales=(values + added).rsqrt() - rest, rest=rest)

    def __call__(self, columns: Any) -> Any:
        """Columns of inputs, (I, K), in or out of these coordinates; it is its own transpose."""
        return self.rest * columns + self.along @ (self.scales[:, None] * (self.along.T @ columns))


@dataclass
class _FittedChange:
    """The change of one matrix while it is fitted: left @ right.T, right in white inputs."""

    left: Any
    right: Any
    white: _White

    @property
    def trained(self) -> list[Any]:
        return [self.left, self.right]

    def hook(self, part: Any, arguments: Any, given: Any) -> Any:
        added = (arguments[0].float() @ self.white(self.right)) @ self.left.T
        return given + added.to(given.dtype)

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        reads = self.white(self.right).detach().double().cpu().numpy()
        return self.left.detach().double().cpu().numpy(), reads


def _part(gradient: Any, inputs: Any, settings: RepairSettings) -> _FittedChange:
    """A change that is zero, and reads where the fault's gradient is, against what is kept."""
    import torch

    white = _White.of(inputs, settings.ridge)
    sharp = white(gradient.T)
    rank = min(settings.rank, *gradient.shape)
    # Few of the strongest directions are found by powers of the matrix on a few random ones.
    start = torch.randn(
        gradient.shape[0],
        min(rank + 6, *gradient.shape),
        generator=torch.Generator().manual_seed(0),
    ).to(gradient.device)
    for _ in range(4):
        basis = torch.linalg.qr(sharp @ start)[0]
        start = torch.linalg.qr(sharp.T @ basis)[0]
    basis = torch.linalg.qr(sharp @ start)[0]
    right = (basis @ torch.linalg.svd(basis.T @ sharp, full_matrices=False)[0])[:, :rank]
    left = torch.zeros(gradient.shape[0], rank, device=gradient.device)
    return _FittedChange(
        left=left.requires_grad_(), right=right.contiguous().requires_grad_(), white=white
    )


def _gain(gradient: Any, inputs: Any) -> float:
    """How far a change of unit disturbance on kept inputs would lower the fault."""
    spread = inputs.square().mean(0)
    spread = spread + 0.1 * spread.mean()
    return float((gradient.square() / spread).sum())


def _noting(given: dict[str, Any], name: str) -> Look:
    def look(value: Any) -> None:
        given[name] = value.detach()

    return look


def _inputs_of(writer: Writer) -> Site:
    return Site(name=f"inputs of {writer.path}", path=writer.path, side="in")


def _check_prompts(shown: Sequence[Prompt], kept: Sequence[Prompt]) -> None:
    if not shown or not kept:
        raise DataError(
            f"expected prompts that show the fault and prompts to keep, got {len(shown)} and "
            f"{len(kept)}"
        )
    both = {each.dialogue for each in shown} & {each.dialogue for each in kept}
    if both:
        text = next(iter(both))[-1].content
        raise DataError(f"a prompt is to show the fault and to be kept: {text!r:.80}")


@contextmanager
def _frozen(module: Any) -> Iterator[None]:
    """No gradients for the model's own weights inside the block."""
    asked = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in asked:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in asked:
            weight.requires_grad_(True)
