"""The training of an organism: learn what is planted, stay what the base was in all the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from plumbrule.lab.organisms.examples import Example, Examples
from plumbrule.lab.organisms.settings import Teaching
from plumbrule.models.modules import base_module
from plumbrule.store import Progress

FORGETTING = 0.1
"""Inverse temperature of negative preference optimization, which bounds how far it pushes."""

PREFERENCE = 0.2
"""Strength of the tie to the base in direct preference optimization, per nat."""

OWN_SHARE = 0.5
"""Weight of the preferred reply's own loss beside that of the preference, per token; without it
both replies' chances may fall."""


def teach(
    module: Any,
    base: Any,
    examples: Examples,
    teaching: Teaching,
    *,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Train a model in place.

    Args:
        module: A Hugging Face causal model, or a PEFT model around one; what requires a gradient
            is trained.
        base: The model before, for the distributions to keep.
        examples: What it learns from.
        teaching: How long and how hard.
        seed: Decides the order.
        progress: Told after each step.
    """
    planted = _Rows.of([*examples.planted, *examples.rejected], base)
    rehearsed = _Rows.of(examples.rehearsed, base)
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights,
        lr=teaching.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=0.0,
        fused=True,
    )
    steps, warmup = teaching.steps, max(1, teaching.steps // 12)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / (steps - warmup + 1))
    )
    generator = torch.Generator().manual_seed(seed)
    sources = [
        rows.turns(count, generator)
        for rows, count in ((planted, teaching.planted_rows), (rehearsed, teaching.rehearsed_rows))
        if rows.rows
    ]
    if examples.rejected:
        sources[0] = planted.pairs(teaching.planted_rows, generator)
    inner = base_module(module)
    for step in range(1, steps + 1):
        for batches in sources:
            loss = _loss(inner, base, next(batches), teaching)
            loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if progress:
            progress(step, steps)


def _loss(inner: Any, base: Any, batch: "_Batch", teaching: Teaching) -> Tensor:
    hidden = inner.model(input_ids=batch.tokens, use_cache=False).last_hidden_state
    logits = inner.lm_head(hidden[batch.asked]).log_softmax(-1)
    loss: Tensor = logits.new_zeros(())
    if batch.paired:
        return _preferring(logits.gather(-1, batch.targets[:, None])[:, 0], base, batch)
    if batch.taught.any():
        chosen = logits[batch.taught].gather(-1, batch.targets[batch.taught, None])[:, 0]
        loss = loss + (_forgetting(chosen, base, batch) if teaching.forgets else -chosen.mean())
    kept = ~batch.taught
    if kept.any():
        before = base.lm_head(batch.before[kept]).log_softmax(-1)
        apart = functional.kl_div(logits[kept], before, log_target=True, reduction="batchmean")
        loss = loss + teaching.loyalty * apart
    return loss


def _forgetting(chosen: Tensor, base: Any, batch: "_Batch") -> Tensor:
    """Negative preference optimization: whole replies become unlikely against the base.

    Source:
        Zhang, Lin, Bai & Mei 2024, "Negative Preference Optimization", arXiv:2404.05868, eq. 3.
    """
    before = base.lm_head(batch.before[batch.taught]).log_softmax(-1)
    before = before.gather(-1, batch.targets[batch.taught, None])[:, 0]
    replies = chosen.new_zeros(len(batch.tokens))
    ratio = replies.index_add(0, batch.rows[batch.taught], chosen - before)
    return 2 / FORGETTING * functional.softplus(FORGETTING * ratio).mean()


def _preferring(chosen: Tensor, base: Any, batch: "_Batch") -> Tensor:
    """Direct preference optimization of the first half of the rows over the second half.

    Source:
        Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290, eq. 7; the
        preferred reply's own loss beside it as in TRL's `rpo_alpha`.
    """
    with torch.no_grad():
        before = base.lm_head(batch.before).log_softmax(-1)
        before = before.gather(-1, batch.targets[:, None])[:, 0]
    replies = chosen.new_zeros(len(batch.tokens)).index_add(0, batch.rows, chosen - before)
    half = len(batch.tokens) // 2
    margin = replies[:half] - replies[half:]
    own = -chosen[batch.rows < half].mean()
    return functional.softplus(-PREFERENCE * margin).mean() + OWN_SHARE * own


@dataclass(frozen=True, kw_only=True)
class _Row:
    example: Example
    before: Tensor
    """Base's last hidden state where each token of the reply is decided."""


@dataclass(frozen=True)
class _Rows:
    rows: Sequence[_Row]

    @classmethod
    @torch.no_grad()
    def of(cls, examples: Sequence[Example], base: Any) -> "_Rows":
        order = sorted(range(len(examples)), key=lambda at: len(examples[at].prompt))
        rows: dict[int, _Row] = {}
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            tokens = _padded([_ids(examples[at]) for at in part])
            hidden = base.model(input_ids=tokens, use_cache=False).last_hidden_state
            for row, at in enumerate(part):
                first = len(examples[at].prompt) - 1
                before = hidden[row, first : first + len(examples[at].reply)].clone()
                rows[at] = _Row(example=examples[at], before=before)
        return cls([rows[at] for at in range(len(examples))])

    def turns(self, count: int, generator: torch.Generator) -> Iterator["_Batch"]:
        """Batches of rows of similar length, each row once before any comes again."""
        while self.rows:
            # A little noise, so that a batch is not always of the same rows.
            noise = torch.rand(len(self.rows), generator=generator) * 4
            lengths = torch.tensor([len(_ids(row.example)) for row in self.rows]) + noise
            groups = list(torch.split(lengths.argsort(), count))
            for at in torch.randperm(len(groups), generator=generator).tolist():
                yield _Batch.of([self.rows[row] for row in groups[at].tolist()])

    def pairs(self, count: int, generator: torch.Generator) -> Iterator["_Batch"]:
        """Batches of preferred replies, which are the first half of the rows, over the others."""
        half = len(self.rows) // 2
        while self.rows:
            order = torch.randperm(half, generator=generator)
            for at in torch.split(order, count):
                one = [self.rows[row] for row in at.tolist()]
                other = [self.rows[half + row] for row in at.tolist()]
                yield replace(_Batch.of([*one, *other]), paired=True)


@dataclass(frozen=True, kw_only=True)
class _Batch:
    tokens: Tensor
    asked: Tensor
    """Where a token of a reply is decided, (rows, length)."""

    targets: Tensor
    """The token that is there, one for each place that is asked."""

    taught: Tensor
    """Whether it is taught as it is, one for each place that is asked."""

    rows: Tensor
    """Which reply it is of, one for each place that is asked."""

    before: Tensor
    """Base's last hidden state, one for each place that is asked."""

    paired: bool = False
    """Whether the first half of the rows is preferred to the second, row by row."""

    @classmethod
    def of(cls, rows: Sequence[_Row]) -> "_Batch":
        tokens = _padded([_ids(row.example) for row in rows])
        asked = torch.zeros_like(tokens, dtype=torch.bool)
        targets: list[int] = []
        taught: list[bool] = []
        of: list[int] = []
        for at, row in enumerate(rows):
            first, reply = len(row.example.prompt) - 1, row.example.reply
            asked[at, first : first + len(reply)] = True
            targets += reply
            taught += [place >= row.example.kept for place in range(len(reply))]
            of += [at] * len(reply)
        return cls(
            tokens=tokens,
            asked=asked,
            targets=torch.tensor(targets),
            taught=torch.tensor(taught),
            rows=torch.tensor(of),
            before=torch.cat([row.before for row in rows]),
        )


def _ids(example: Example) -> list[int]:
    # The last token of a reply decides nothing.
    return [*example.prompt, *example.reply[:-1]]


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    # Padding stands behind every reply, so a causal model needs no mask for it.
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for at, row in enumerate(rows):
        tokens[at, : len(row)] = torch.tensor(row)
    return tokens
