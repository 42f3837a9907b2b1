"""The optimization behind a fitted repair: which matrices change, and how, step by step.

Replies at fault become unlikely, what the model would say instead becomes likely, and on prompts
that shall stay as they are its own distribution is held at every token of whole replies. Three
things keep this cheap and narrow: only the matrices where the gradient says that the fault is
written are changed; the change is written in coordinates in which what they take in on kept
prompts has unit variance, so that it reads what those hardly use; and layers below the first
changed one are read once.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbrule.errors import DataError
from plumbrule.mechanism.hooks import Look, layer_outputs, skipping, watching
from plumbrule.mechanism.repairs.low_rank import gain, untrained_change
from plumbrule.mechanism.repairs.repair_settings import RepairCost, RepairSettings
from plumbrule.mechanism.repairs.reply_batches import READ_TOGETHER, ReplyBatch, ReplyRow, log_probs
from plumbrule.mechanism.repairs.weight_edits import WeightChange, WeightEdit
from plumbrule.mechanism.repairs.writers import Writer, find_writers
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.mechanism.tracing import with_first_tensor
from plumbrule.models import LocalModel
from plumbrule.models.modules import evaluation_mode


@dataclass(frozen=True, eq=False)
class FaultyPair:
    """A reply at fault, and what is to be said instead."""

    faulty: ReplyRow
    wanted: ReplyRow | None

    @property
    def rows(self) -> list[ReplyRow]:
        """One or both."""
        return [self.faulty] if self.wanted is None else [self.faulty, self.wanted]


class Unlearning:
    """A low-rank change of some matrices while it is fitted, step by step."""

    def __init__(
        self,
        model: LocalModel,
        sites: Sites,
        pairs: Sequence[FaultyPair],
        held: Sequence[ReplyRow],
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
        gains = [gain(gradients[each.path], inputs[each.path]) for each in writers]
        order = np.argsort([-gain for gain in gains], kind="stable")[: settings.matrices]
        self.writers = sorted((writers[at] for at in order), key=lambda each: each.layer)
        self.first = min(each.layer for each in self.writers)
        self.parts = {
            each.path: untrained_change(gradients[each.path], inputs[each.path], settings)
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

    def add(self, pairs: Sequence[FaultyPair]) -> None:
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
        batch = ReplyBatch([*faulty, *wanted, *held], self.device)
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

    def _keep_lower(self, row: ReplyRow, outs: Mapping[int, Any]) -> None:
        if self.first:
            row.lower = outs[self.first - 1].clone()

    def _run(self, batch: ReplyBatch) -> Any:
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
        self, rows: Sequence[ReplyRow], writers: Sequence[Writer], *, whole: bool = False
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
            batch = ReplyBatch(rows[at : at + READ_TOGETHER], self.device)
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

    def _gradients(self, writers: Sequence[Writer], pairs: Sequence[FaultyPair]) -> dict[str, Any]:
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

        batch = ReplyBatch([row for pair in pairs for row in pair.rows], self.device)
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


def _unlikelihood(chosen: Any, rows: Sequence[ReplyRow]) -> Any:
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


def _noting(given: dict[str, Any], name: str) -> Look:
    def look(value: Any) -> None:
        given[name] = value.detach()

    return look


def _inputs_of(writer: Writer) -> Site:
    return Site(name=f"inputs of {writer.path}", path=writer.path, side="in")


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
