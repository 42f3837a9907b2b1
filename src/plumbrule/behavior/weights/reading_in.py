"""Which prompts a change of weights would read, from one forward pass of the base alone.

A changed matrix W + D answers an input x differently by D x. The base shows every x, the singular
directions of D give the length of D x cheaply, and so prompts are ranked before the tuned model has
run once.

The unit is what a random change would read: D x over what a matrix with the same singular values
and random directions makes of x, on average. Held against |W x| instead, the lab's planted changes
were ranked a little worse (mean area under the curve 0.91 instead of 0.93), and the whole outputs
would have to be computed.

Axes: P prompts, T tokens, R rows of a batch, K directions, N input width, L changed modules, S the
three summaries of a prompt (last token, mean, largest).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from plumbrule.behavior.weights.changes import WeightChanges
from plumbrule.behavior.weights.spectra import Directions
from plumbrule.errors import DataError
from plumbrule.models import LocalModel
from plumbrule.models.drawing import batches
from plumbrule.models.route import parameters


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How much of each prompt a change would read."""

    scores: Float[np.ndarray, " P"]
    """One a prompt; larger is read more. They compare the prompts with each other and say nothing
    of a single one: 0 stands for the average of those given."""

    tokens: tuple[Float[np.ndarray, " T"], ...]
    """One a token, for each prompt: how strongly it is read, averaged over the modules; 1 is what
    a random change of the same size would read."""

    modules: tuple[str, ...]
    """Changed modules that were listened to."""

    reads: Float[np.ndarray, "P L S"]
    """What `scores` is made of, in the unit of `tokens`: per module the last token, the mean and
    the largest."""

    projections: Mapping[str, Float[np.ndarray, " K"]]
    """By changed tensor, the mean coordinate of the prompts' last inputs on each direction that
    the change reads. Its sign says which way the change writes."""

    unread: Mapping[str, str]
    """Changed tensors that no input could be seen for, and why."""


def reading_in(
    base: LocalModel, changes: WeightChanges, prompts: Sequence[Sequence[int]]
) -> Reading:
    """Rank prompts by how much of them a change of weights would read.

    Args:
        base: The model before the change; left as it was, also after an error.
        changes: What `compare_weights` or `compare_folders` found.
        prompts: Tokens of each prompt, up to where the reply begins.

    Returns:
        Scores by prompt and by token.

    Raises:
        DataError: There is no prompt, an empty one, or no changed matrix whose input can be seen.

    Source:
        The idea is from Zhong & Raghunathan (2025), "Watch the weights", arXiv 2508.00161, who
        project activations on the top singular vectors of a weight difference; the unit and the
        way of putting tokens and modules together are ours.
    """
    if not prompts or not all(prompts):
        raise DataError("expected prompts of one token or more, got none or an empty one")
    readers, unread = find_readers(base.module, changes)
    seen = _Seen([len(prompt) for prompt in prompts])
    device = next(base.module.parameters()).device
    keep = _keep_last(base.module, readers)
    with listening(base.module, readers):
        for batch in _cut(base, prompts, whole=not keep):
            rows = [list(prompts[item]) for item in batch]
            width = max(map(len, rows))
            # Padded on the right: what follows a token cannot reach it in a causal model.
            ids = torch.tensor([row + row[-1:] * (width - len(row)) for row in rows], device=device)
            for reader in readers:
                reader.expect(ids)
            base.module(input_ids=ids, use_cache=False, **keep)
            base.usage.tokens_scored += sum(map(len, rows))
            seen.add(batch, readers)
    return seen.reading(readers, unread)


class Reader:
    """Listens to what one module is given."""

    def __init__(self, module: str, tensor: str, directions: Directions, *, reads: Tensor) -> None:
        """Set it up.

        Args:
            module: Its name in the model.
            tensor: Name of the changed tensor.
            directions: Of the change.
            reads: Those on the input's side, "N K"; for an embedding, the norm of each row.
        """
        self.module, self.tensor, self._reads = module, tensor, reads
        self._values = directions.values.to(reads.device)
        self._ids: Tensor | None = None
        self.strength: Tensor | None = None
        self.coordinates: Tensor | None = None

    def expect(self, ids: Tensor) -> None:
        """Get ready for a batch."""
        self._ids, self.strength, self.coordinates = ids, None, None

    def __call__(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Take down one input; inputs that are not one a token are left alone."""
        given = inputs[0] if inputs else None
        if self._ids is None or not isinstance(given, Tensor):
            return
        if self._reads.ndim == 1:
            self._embedded(given)
        elif given.numel() == self._ids.numel() * self._reads.shape[0]:
            self._projected(given.reshape(*self._ids.shape, -1))

    def _embedded(self, given: Tensor) -> None:
        assert self._ids is not None
        # Tables of positions are embeddings too; what they are given is no token.
        if given.shape == self._ids.shape and torch.equal(given, self._ids):
            typical = self._reads.square().mean().sqrt()
            self.strength = self._reads[given] / typical

    def _projected(self, given: Float[Tensor, "R T N"]) -> None:
        given = given.to(self._reads.dtype)
        self.coordinates = given @ self._reads
        length = torch.linalg.vector_norm(self.coordinates * self._values, dim=-1)
        typical = torch.linalg.vector_norm(self._values) / given.shape[-1] ** 0.5
        size = torch.linalg.vector_norm(given, dim=-1)
        self.strength = length / (typical * size).clamp(min=torch.finfo(size.dtype).tiny)


def find_readers(module: Any, changes: WeightChanges) -> tuple[list[Reader], dict[str, str]]:
    """A reader for every module whose weight changed, and why others have none.

    Raises:
        DataError: There is none at all.
    """
    from transformers.pytorch_utils import Conv1D

    parts = dict(module.named_modules(remove_duplicate=False))
    readers, unread = [], {}
    for one in changes.report.changed:
        directions = changes.directions.get(one.name)
        if directions is None:
            unread[one.name] = "it is no matrix"
            continue
        owners = _owners(one.name, parts, changes)
        for owner in owners:
            part = parts[owner]
            if tuple(part.weight.shape)[1:] != one.shape[1:]:
                continue
            if isinstance(part, nn.Embedding):
                reads = _rows(directions.row_norms, part.num_embeddings)
            elif isinstance(part, nn.Linear):
                reads = directions.right
            elif isinstance(part, Conv1D):  # stores input by output, unlike nn.Linear
                reads = directions.left
            else:
                unread[one.name] = f"what a {type(part).__name__} does with it is not known"
                continue
            device = part.weight.device
            readers.append(Reader(owner, one.name, directions, reads=reads.to(device)))
        if not owners:
            unread[one.name] = "the base has no module of that name with one weight"
    if not readers:
        raise DataError(
            "expected a changed matrix whose input a forward pass shows, found none: "
            + ("; ".join(f"{name}: {why}" for name, why in list(unread.items())[:3]) or "no change")
        )
    return readers, unread


@contextmanager
def listening(module: Any, readers: Sequence[Reader]) -> Iterator[None]:
    """Hook the readers in, without gradients or dropout; all is taken back on leaving."""
    parts = dict(module.named_modules(remove_duplicate=False))
    training = [part for part in module.modules() if part.training]
    with ExitStack() as undo:
        for part in training:
            part.training = False
            undo.callback(setattr, part, "training", True)
        for reader in readers:
            undo.callback(parts[reader.module].register_forward_pre_hook(reader).remove)
        undo.enter_context(torch.inference_mode())
        yield


class _Seen:
    """What the readers of all batches took down."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = lengths
        self._tokens: list[Any] = [None] * len(lengths)
        self._reads: dict[str, dict[int, Any]] = {}
        self._sums: dict[str, Any] = {}

    def add(self, batch: Sequence[int], readers: Sequence[Reader]) -> None:
        heard = {each: each.strength for each in readers if each.strength is not None}
        if not heard:
            return
        table = np.stack([strength.float().cpu().numpy() for strength in heard.values()])
        for row, item in enumerate(batch):
            part = table[:, row, : self._lengths[item]]
            self._tokens[item] = part.mean(axis=0)
            summary = np.stack([part[:, -1], part.mean(axis=1), part.max(axis=1)], axis=1)
            for reader, three in zip(heard, summary, strict=True):
                self._reads.setdefault(reader.module, {})[item] = three
        for reader in heard:
            if reader.coordinates is not None:
                ends = [self._lengths[item] - 1 for item in batch]
                last = reader.coordinates[range(len(batch)), ends].double().sum(0).cpu().numpy()
                self._sums[reader.tensor] = self._sums.get(reader.tensor, 0.0) + last

    def reading(self, readers: Sequence[Reader], unread: dict[str, str]) -> Reading:
        count = len(self._lengths)
        whole = [one for one in readers if len(self._reads.get(one.module, ())) == count]
        for reader in readers:
            if reader not in whole:
                unread[reader.tensor] = "its inputs were not seen, or are not one a token"
        if not whole:
            raise DataError(
                "expected changed modules that are given one input a token, this model has none; "
                "rank prompts by the difference of the two models' outputs"
            )
        columns = [[self._reads[one.module][item] for item in range(count)] for one in whole]
        reads = np.asarray(columns, dtype=np.float32).transpose(1, 0, 2)
        return Reading(
            scores=combine(reads),
            tokens=tuple(self._tokens),
            modules=tuple(one.module for one in whole),
            reads=reads,
            projections={name: total / count for name, total in self._sums.items()},
            unread=unread,
        )


def combine(reads: Float[np.ndarray, "P L S"]) -> Float[np.ndarray, " P"]:
    """One number a prompt from what each module read of it.

    A module counts where it reads a prompt more than it reads most: what it reads less of says
    nothing. Squares let a few modules that agree outweigh the noise of many.
    """
    above = np.maximum(_standard(reads), 0.0)
    by_summary = _standard(np.square(above).mean(axis=1))
    scores: Float[np.ndarray, " P"] = by_summary.mean(axis=1)
    return scores


def _standard(values: np.ndarray) -> np.ndarray:
    """Deviation from the mean over prompts in standard deviations; 0 where all are alike."""
    wide = values.astype(np.float64)
    spread = wide.std(axis=0)
    deviation: np.ndarray = wide - wide.mean(axis=0)
    # Rounding alone makes a spread of about 1e-7 of the values.
    known = spread > 1e-5 * np.abs(wide).mean(axis=0)
    return np.where(known, deviation / np.where(known, spread, 1.0), 0.0)


def _owners(name: str, parts: Mapping[str, Any], changes: WeightChanges) -> list[str]:
    """Modules whose weight a tensor is: its own, and those tied to it that have no other change."""
    owner = name.removesuffix(".weight")
    weight = getattr(parts.get(owner), "weight", None)
    if owner == name or weight is None:
        return []
    tied = [
        each
        for each, part in parts.items()
        if each != owner
        and getattr(part, "weight", None) is weight
        and f"{each}.weight" not in changes.directions
    ]
    return [owner, *tied]


def _rows(norms: Float[Tensor, " rows"], wanted: int) -> Float[Tensor, " wanted"]:
    """Norms for all tokens of the base; those past the compared rows did not change."""
    return nn.functional.pad(norms[:wanted], (0, max(0, wanted - len(norms))))


def _keep_last(module: Any, readers: Sequence[Reader]) -> dict[str, int]:
    """Spare the logits of all positions but the last, unless the unembedding is listened to."""
    head = module.get_output_embeddings()
    parts = dict(module.named_modules(remove_duplicate=False))
    if any(parts[reader.module] is head for reader in readers):
        return {}
    return {"logits_to_keep": 1} if "logits_to_keep" in parameters(module) else {}


def _cut(base: LocalModel, prompts: Sequence[Sequence[int]], *, whole: bool) -> list[list[int]]:
    """Batches of similar length, small enough that logits of all positions fit where asked for."""
    settings = base.settings
    tokens = settings.max_batch_tokens
    if whole:
        vocabulary = int(base.module.get_input_embeddings().weight.shape[0])
        tokens = min(tokens, max(1, settings.max_batch_logits // vocabulary))
    lengths = [len(prompt) for prompt in prompts]
    return batches(lengths, extra=0, rows=settings.batch_size, tokens=tokens, equal=False)
