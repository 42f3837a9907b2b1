"""A model as `pr.open_model` gives it: to be asked and, with its weights at hand, looked into."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from plumbrule.errors import ConfigError
from plumbrule.mechanism import (
    Captured,
    HeadCopying,
    HeadRole,
    KeyValueMemory,
    MatrixDirections,
    Patched,
    Sites,
    capture,
    cells_of,
    find_copying,
    find_heads,
    find_sites,
    logit_difference,
    logit_lens,
    patch,
    read_memories,
    report_circuit,
    weight_directions,
)
from plumbrule.mechanism.circuits.text_pairs import PairLine, given_pairs, pairs_from, read_pairs
from plumbrule.mechanism.opening import token_text
from plumbrule.mechanism.texts import check_tokens, text_tokens
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.models import open_model as open_handle
from plumbrule.records import Message
from plumbrule.results import FoundCircuit
from plumbrule.store import Tell, silent

if TYPE_CHECKING:
    from plumbrule.internalization import Subject, VerdictReport


class Model(LocalModel):
    """A local model, to be asked and to be looked into."""

    @classmethod
    def of(cls, handle: LocalModel) -> "Model":
        """The same model, with what looks inside it."""
        return cls(
            handle.module,
            handle.tokenizer,
            spec=handle.spec,
            identity=handle.identity,
            settings=handle.settings,
        )

    @cached_property
    def sites(self) -> Sites:
        """Places where activations can be read and exchanged."""
        return find_sites(self.module)

    def tokens(self, text: str, *, chat: bool = False) -> list[int]:
        """A text as this model reads it.

        Args:
            text: Any text.
            chat: Whether it is a user's message, to be put into the chat template.

        Raises:
            DataError: It is empty, too long, or the tokenizer cannot give it back.
        """
        read = self.chat.prompts([(Message("user", text),)])[0] if chat else text_tokens(self, text)
        check_tokens(self, read, text, "the text")
        return read

    def capture(
        self,
        texts: str | Sequence[str],
        sites: str | Sequence[str],
        *,
        positions: Literal["all", "last"] = "all",
        chat: bool = False,
    ) -> Captured:
        """Activations while the model reads texts; see `plumbrule.mechanism.capture`."""
        rows = [self.tokens(text, chat=chat) for text in _several(texts)]
        return capture(self.module, self.sites, rows, _several(sites), positions=positions)

    def patch(
        self,
        clean: str,
        corrupted: str,
        kinds: str | Sequence[str] = "out",
        *,
        right: str,
        wrong: str,
        positions: Sequence[int] | None = None,
        by_head: bool = False,
    ) -> Patched:
        """Bring activations of one prompt into another's pass; see `plumbrule.mechanism.patch`.

        Args:
            clean: The prompt whose activations are brought in.
            corrupted: The prompt that is run; of as many tokens.
            kinds: Kinds of site, such as `out`, `attn`, `mlp`, `heads`.
            right: Next token that the clean prompt asks for, with the space before it.
            wrong: Next token that it is held against.
            positions: Tokens to exchange one at a time; None: all of them at once.
            by_head: Exchange heads one at a time.
        """
        (pair,) = read_pairs(
            self, [PairLine(clean=clean, corrupted=corrupted, right=right, wrong=wrong)]
        )
        cells = cells_of(self.sites, _several(kinds), positions=positions, by_head=by_head)
        metric = logit_difference(pair.right, pair.wrong)
        return patch(self.module, self.sites, pair.clean, pair.corrupted, cells, metric)

    def logit_lens(self, text: str, *, chat: bool = False) -> Any:
        """Log-probabilities of the next token at each depth, (L, V)."""
        import torch

        device = next(self.module.parameters()).device
        ids = torch.tensor([self.tokens(text, chat=chat)], device=device)
        return logit_lens(self.module, self.sites, ids)[:, 0]

    def find_copying(self, *, seed: int = 0, **settings: Any) -> tuple[HeadCopying, ...]:
        """Every head, and whether it raises the token that it looks at."""
        return find_copying(self.module, self.sites, seed=seed, **settings)

    def neurons(
        self, layer: int, texts: Sequence[str] = (), *, chat: bool = False, **settings: Any
    ) -> tuple[KeyValueMemory, ...]:
        """What neurons of an MLP write, and what in texts activates them.

        Args:
            layer: Number of the layer, from 0.
            texts: Where to look for activations.
            chat: Whether these are a user's messages.
            **settings: Of `plumbrule.mechanism.read_memories`, such as `neurons` and `top`.
        """
        rows = [self.tokens(text, chat=chat) for text in texts]
        return read_memories(
            self.module, self.sites, layer, rows=rows, decode=token_text(self), **settings
        )

    def weight_directions(
        self, *, against: LocalModel | None = None, seed: int = 0, **settings: Any
    ) -> tuple[MatrixDirections, ...]:
        """Matrices taken apart and read as tokens, or what training changed in them.

        Args:
            against: The model before, of the same shape; None: the matrices themselves.
            seed: Of the random signs.
            **settings: Of `plumbrule.mechanism.weight_directions`, such as `names` and `top`.
        """
        return weight_directions(
            self.module,
            self.sites,
            seed=seed,
            against=None if against is None else against.module,
            decode=token_text(self),
            **settings,
        )

    def find_heads(self, *, seed: int = 0, **settings: Any) -> tuple[HeadRole, ...]:
        """Every head under every role, those confirmed first."""
        return find_heads(self.module, self.sites, seed=seed, **settings)

    def verdict(
        self,
        subjects: "Sequence[Subject]",
        *,
        base: LocalModel | None = None,
        folder: Path | str | None = None,
        tell: Tell = silent,
        **settings: Any,
    ) -> "VerdictReport":
        """Say of each principle whether it is held or only shown.

        Args:
            subjects: Principles with prompts and who reads replies; see
                `plumbrule.internalization.Subject`.
            base: The model before it was trained.
            folder: Where replies are kept, so that a later call goes on.
            tell: Told of progress.
            **settings: Fields of `plumbrule.internalization.VerdictSettings`.
        """
        from plumbrule.internalization import VerdictSettings, find_verdicts

        return find_verdicts(
            self,
            subjects,
            base=base,
            settings=VerdictSettings(**settings),
            folder=None if folder is None else Path(folder),
            tell=tell,
        )

    def find_circuit(
        self,
        pairs: Sequence[Mapping[str, str]] | None = None,
        *,
        task: str | None = None,
        count: int = 64,
        seed: int = 0,
        chat: bool = False,
        tell: Tell = silent,
        **settings: Any,
    ) -> FoundCircuit:
        """The edges that carry an answer; see `plumbrule.mechanism.find_circuit`.

        Args:
            pairs: Each with `clean`, `corrupted`, `right` and `wrong`.
            task: Pairs that come along, in place of these: `indirect-object` or `copying`.
            count: Most pairs of a task.
            seed: Of the halves to search and to decide on.
            chat: Whether prompts are a user's messages.
            tell: Told of progress.
            **settings: Of the search, such as `fdr`.
        """
        if pairs is None:
            given = given_pairs(self, pairs=None, task=task, count=count, chat=chat)
        elif task is None:
            given = pairs_from(self, [PairLine(**pair) for pair in pairs], chat=chat)
        else:
            raise ConfigError("expected pairs or the name of a task, got both")
        report = report_circuit(
            self, self.sites, given, name=self.spec, task=task, seed=seed, tell=tell, **settings
        )
        return FoundCircuit(report=report)


def open_model(spec: str, **options: Any) -> LanguageModel:
    """Open a model: hub id, folder, PEFT adapter, `lab:NAME` or endpoint.

    Args:
        spec: As for `plumbrule.models.open_model`.
        **options: The same.

    Returns:
        A `Model` where the weights are at hand, which can be looked into; else a handle that can
        be asked.
    """
    handle = open_handle(spec, **options)
    return Model.of(handle) if isinstance(handle, LocalModel) else handle


def _several(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
