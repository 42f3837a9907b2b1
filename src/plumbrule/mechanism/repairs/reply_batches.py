"""Replies read side by side, and how likely each of their tokens is.

Axes: T tokens, V vocabulary, D width of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.mechanism.hooks import watching
from plumbrule.mechanism.repairs.replies import DrawnReply
from plumbrule.mechanism.site_search import find_sites
from plumbrule.mechanism.sites import Sites
from plumbrule.models import LocalModel
from plumbrule.models.modules import evaluation_mode


@dataclass(eq=False)
class ReplyRow:
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
    def of(cls, drawn: DrawnReply, weights: Sequence[float]) -> "ReplyRow":
        """A drawn reply, each token with its weight."""
        return cls((*drawn.before, *drawn.reply), len(drawn.before), tuple(weights))


class ReplyBatch:
    """Replies read side by side, padded on the right, where a causal model does not see it."""

    def __init__(self, rows: Sequence[ReplyRow], device: Any) -> None:
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


def log_probs(module: Any, sites: Sites, batch: ReplyBatch) -> Any:
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
    rows = [ReplyRow.of(each, [1.0] * len(each.reply)) for each in drawn]
    with evaluation_mode(model.module), torch.no_grad():
        for at in range(0, len(rows), READ_TOGETHER):
            batch = ReplyBatch(rows[at : at + READ_TOGETHER], device)
            found += torch.split(log_probs(model.module, sites, batch), batch.lengths)
    return found


READ_TOGETHER = 16
"""Replies read side by side where nothing is learned."""
