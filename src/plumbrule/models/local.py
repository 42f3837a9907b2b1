"""A local language model: any Hugging Face causal model, loaded in this process."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from plumbrule.errors import DataError, ModelError
from plumbrule.models.chat import TODAY, Chat
from plumbrule.models.handle import Choice, Completion, Sampling, Score, Usage
from plumbrule.models.modules import base_module, evaluation_mode, text_config
from plumbrule.models.reading import check_options, weigh
from plumbrule.models.settings import LocalSettings
from plumbrule.records import Dialogue, Message

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from plumbrule.models.capabilities import Capabilities
    from plumbrule.models.prefixes import BatchLimits
    from plumbrule.models.sampling import SampledReply
    from plumbrule.models.turns import Turns

_PROBE = (
    Message("user", "The cook puts four apples, a loaf and some tea on the table by the window."),
)


MOST_CHECKED = 2048
"""Dialogues of a pool whose lengths are looked at before anything is drawn."""

_NOTHING = "the model gives none of the answers a probability above zero"


class LocalModel:
    """A causal language model in this process; see `LanguageModel` for what it can do.

    The result of a reply depends on its dialogue and its seed alone, up to the rounding of matrix
    products, which differs in the last bits between batch shapes: the same call gives the same
    bytes, and another batch size gives the same text unless a draw falls within that rounding of a
    border.
    """

    spec: str
    identity: str
    usage: Usage

    tokenizer: Any
    """Its tokenizer."""

    turns: "Turns | None"
    """The models that it shares memory with; None where it need not rest."""

    def __init__(
        self,
        module: Any,
        tokenizer: Any,
        *,
        spec: str = "memory",
        identity: str | None = None,
        settings: LocalSettings | None = None,
        read_again: Callable[[], Any] | None = None,
    ) -> None:
        """Wrap a model that is already in memory; `open_model` does this for one on disk.

        Args:
            module: A Hugging Face causal language model, or a PEFT model around one.
            tokenizer: Its tokenizer, with a chat template.
            spec: What a report calls it.
            identity: Hash of what it was loaded from; hashed from the parameters when not given.
            settings: How to run it.
            read_again: Loads the same model from disk, so that it can rest meanwhile.

        Raises:
            ModelError: No chat template, or more tokens than the model embeds.
        """
        self._module, self.tokenizer, self.spec = module, tokenizer, spec
        self._read_again, self.turns = read_again, None
        self.settings = settings or LocalSettings()
        self.usage = Usage()
        self._capabilities: Capabilities | None = None
        self._check_vocabulary()
        self.chat = Chat(
            tokenizer, stops=_ends(module), template_arguments=self.settings.template_arguments
        )
        if identity is None:
            self.weights_changed()
        else:
            self.identity = identity

    @property
    def module(self) -> Any:
        """The Hugging Face model; training may change its weights, then calls `weights_changed`.

        Read from disk again where it rested, after those that it takes turns with were let go.
        """
        if self._module is None:
            assert self.turns is not None
            assert self._read_again is not None
            self.turns.rest(but=self)
            self._module = self._read_again()
        return self._module

    @module.setter
    def module(self, module: Any) -> None:
        self._module = module

    @property
    def resting(self) -> bool:
        """Whether its weights would have to be read from disk first."""
        return self._module is None

    def rest(self) -> None:
        """Let go of the weights, until something needs them again.

        Raises:
            ModelError: They are not those on disk, or there are none.
        """
        if self._read_again is None:
            raise ModelError(
                f"{self.spec} cannot rest: its weights were made or changed in memory; save it "
                "and open the folder"
            )
        self._module = None

    @property
    def context(self) -> int | None:
        """Most tokens the model reads, prompt and reply together; None where it names no limit."""
        try:
            limit = getattr(text_config(self.module), "max_position_embeddings", None)
        except NotImplementedError:  # how some configurations say that they have no limit
            limit = None
        return int(limit) if limit and limit > 0 else None

    @property
    def capabilities(self) -> "Capabilities":
        """How this architecture may be batched, found at first use."""
        if self._capabilities is None:
            from plumbrule.models.decoding import find_capabilities

            text = self.chat.prompts([_PROBE])[0]
            with self._running():
                self._capabilities = find_capabilities(self.module, text)
        return self._capabilities

    def weights_changed(self) -> None:
        """Hash the parameters anew, so that nothing computed before is taken for theirs."""
        from plumbrule.models.identity import memory_identity

        self._read_again = None
        self.identity = memory_identity(
            self.module, self.tokenizer, self.settings.template_arguments
        )

    def sample(
        self,
        dialogues: Sequence[Dialogue],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        log_probs: bool = False,
    ) -> list[Completion]:
        """Draw one reply to each dialogue, in order, each from its own seed.

        Log-probabilities are the model's own, at temperature 1 with nothing cut off, whatever the
        temperature the reply was drawn at.

        Raises:
            DataError: A prompt leaves no room for the reply; nothing has been drawn.
        """
        prompts = self._prompts(dialogues, sampling.max_new_tokens)
        drawn = self.sample_tokens(prompts, sampling=sampling, seeds=seeds, log_probs=log_probs)
        texts = self.chat.decode([_without_end(one.tokens, self.chat.stops) for one in drawn])
        return [
            Completion(
                text=text,
                finish_reason=one.finish_reason,
                tokens=len(one.tokens),
                log_probs=one.log_probs,
            )
            for text, one in zip(texts, drawn, strict=True)
        ]

    def sample_tokens(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        log_probs: bool = False,
    ) -> "list[SampledReply]":
        """Draw one reply to each prompt of tokens, for callers who need the reply's tokens too."""
        from plumbrule.models.sampling import sample_batch

        if len(seeds) != len(prompts):
            raise DataError(f"expected one seed a prompt, got {len(seeds)} for {len(prompts)}")
        drawn: list[SampledReply | None] = [None] * len(prompts)
        tokens = sum(len(prompt) + sampling.max_new_tokens for prompt in prompts)
        with self._running(tokens):
            for batch in self._batches(prompts, sampling.max_new_tokens):
                found = sample_batch(
                    self.module,
                    self.capabilities,
                    [prompts[item] for item in batch],
                    [seeds[item] for item in batch],
                    sampling=sampling,
                    stops=self.chat.stops,
                    log_probs=log_probs,
                )
                self.usage.tokens_generated += sum(len(one.tokens) for one in found)
                for item, one in zip(batch, found, strict=True):
                    drawn[item] = one
        return [one for one in drawn if one is not None]

    def score(
        self,
        dialogues: Sequence[Dialogue],
        responses: Sequence[str],
        *,
        end_of_turn: bool = False,
    ) -> list[Score]:
        """Log-probability of each given reply.

        Args:
            dialogues: What comes before.
            responses: One reply each.
            end_of_turn: Also count the decision to stop there, as one more token.

        Raises:
            DataError: A dialogue and its reply are longer than the context window, or the numbers
                differ.
        """
        if len(dialogues) != len(responses):
            raise DataError(
                f"expected one reply a dialogue, got {len(responses)} for {len(dialogues)}"
            )
        pairs = self.chat.with_replies(dialogues, responses)
        end = [self._end()] if end_of_turn else []
        replies = [[*reply, *end] for _, reply in pairs]
        self._check_lengths([len(prompt) for prompt, _ in pairs], [len(reply) for reply in replies])
        scored = self.score_tokens([prompt for prompt, _ in pairs], replies)
        return [Score(log_prob=math.fsum(values), tokens=len(values)) for values in scored]

    def score_tokens(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]
    ) -> list[tuple[float, ...]]:
        """Natural logarithm of each reply token's probability at temperature 1."""
        from plumbrule.models.scoring import score_all

        scored: list[tuple[float, ...]] = [()] * len(prompts)
        with self._running(sum(map(len, prompts)) + sum(map(len, replies))):
            found = score_all(self.module, self.capabilities, prompts, replies, self._limits())
            for item, values in found:
                self.usage.tokens_scored += len(prompts[item]) + len(replies[item])
                scored[item] = values
        return scored

    def choose(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], *, seeds: Sequence[int]
    ) -> list[Choice]:
        """Probability of each of the same few answers to each dialogue.

        Where every answer is one token of its own, that is the probability that the reply begins
        with it. Otherwise each answer is scored whole, with the decision to stop after it, so that
        no answer contains another.

        Args:
            dialogues: What is asked.
            options: Two answers or more, all different.
            seeds: Not used, because nothing is drawn.

        Raises:
            DataError: Fewer than two answers, an empty one, or two alike.
        """
        del seeds
        check_options(options)
        if not dialogues:
            return []
        prompts = self._prompts(dialogues, 1)
        tokens = self._single_tokens(dialogues[0], options)
        if tokens is None:
            return self._choose_whole(dialogues, options)
        return self._choose_next(prompts, tokens)

    def check_lengths(self, dialogues: Sequence[Dialogue], max_new_tokens: int) -> None:
        """See that each dialogue leaves room for a reply.

        Of more than `MOST_CHECKED` only those with the most characters are looked at: tokenizing a
        large pool takes longer than all that is done with it.

        Raises:
            DataError: One does not; the message names the first, its length and the limit.
        """
        rows: Sequence[int] = range(len(dialogues))
        if len(dialogues) > MOST_CHECKED:
            lengths = [sum(len(turn.content) for turn in each) for each in dialogues]
            rows = sorted(sorted(rows, key=lambda row: -lengths[row])[:MOST_CHECKED])
        prompts = self.chat.prompts([dialogues[row] for row in rows])
        self._check_lengths([len(each) for each in prompts], [max_new_tokens] * len(prompts), rows)

    def describe(self) -> Mapping[str, Any]:
        """What a report says about the model."""
        parameter = next(self.module.parameters())
        return {
            "spec": self.spec,
            "kind": "local",
            "architecture": type(base_module(self.module)).__name__,
            "parameters": sum(one.numel() for one in self.module.parameters()),
            "dtype": str(parameter.dtype).removeprefix("torch."),
            "device": str(parameter.device),
            "context_tokens": self.context,
            "vocabulary": len(self.tokenizer),
            "end_of_turn": self.chat.end,
            "system_turn": "folded into the user's"
            if self.chat.folds_system
            else "as the template",
            "running": self.capabilities.explain(),
            **({"date_in_template": TODAY.isoformat()} if self.chat.reads_date else {}),
        }

    def _choose_next(self, prompts: list[list[int]], tokens: list[int]) -> list[Choice]:
        from plumbrule.models.scoring import next_all

        choices: dict[int, Choice] = {}
        with self._running(sum(map(len, prompts))):
            found = next_all(self.module, self.capabilities, prompts, tokens, self._limits())
            for item, shares in found:
                self.usage.tokens_scored += len(prompts[item])
                choices[item] = weigh(shares, method="log-probs", nothing=_NOTHING)
        return [choices[item] for item in range(len(prompts))]

    def _choose_whole(self, dialogues: Sequence[Dialogue], options: Sequence[str]) -> list[Choice]:
        repeated = [dialogue for dialogue in dialogues for _ in options]
        scores = self.score(repeated, list(options) * len(dialogues), end_of_turn=True)
        shares = [math.exp(score.log_prob) for score in scores]
        width = len(options)
        return [
            weigh(shares[at : at + width], method="log-probs", nothing=_NOTHING)
            for at in range(0, len(shares), width)
        ]

    def _single_tokens(self, dialogue: Dialogue, options: Sequence[str]) -> list[int] | None:
        pairs = self.chat.with_replies([dialogue] * len(options), options)
        tokens = [reply[0] for _, reply in pairs if len(reply) == 1]
        return tokens if len(set(tokens)) == len(options) else None

    def _prompts(self, dialogues: Sequence[Dialogue], room: int) -> list[list[int]]:
        prompts = self.chat.prompts(dialogues)
        self._check_lengths([len(prompt) for prompt in prompts], [room] * len(prompts))
        return prompts

    def _check_lengths(
        self, prompts: Sequence[int], replies: Sequence[int], rows: Sequence[int] | None = None
    ) -> None:
        """See that lengths fit; `rows` are the dialogues' numbers, where they are not 0, 1, 2."""
        if self.context is None:
            return
        numbers = range(len(prompts)) if rows is None else rows
        for index, prompt, reply in zip(numbers, prompts, replies, strict=True):
            if prompt + reply > self.context:
                raise DataError(
                    f"expected at most {self.context - reply} tokens of dialogue beside {reply} "
                    "of reply, dialogue "
                    f"{index} has {prompt}: the model reads {self.context}. Shorten it, or lower "
                    "max_new_tokens."
                )

    def _batches(self, prompts: Sequence[Sequence[int]], extra: int) -> list[list[int]]:
        from plumbrule.models.sampling import batches

        rows, tokens = self.settings.batch_size, self.settings.max_batch_tokens
        equal = not self.capabilities.padded
        return batches(list(map(len, prompts)), extra=extra, rows=rows, tokens=tokens, equal=equal)

    def _limits(self) -> "BatchLimits":
        from plumbrule.models.prefill import limits_of

        settings = self.settings
        return limits_of(
            self.module,
            rows=settings.batch_size,
            tokens=settings.max_batch_tokens,
            own=max(1, settings.max_batch_logits // self._embedded()),
        )

    @contextmanager
    def _running(self, tokens: int = 0) -> Iterator[None]:
        """No gradients, no dropout, for about so many tokens; training mode comes back after."""
        import torch

        from plumbrule.models.packing import packed

        with (
            evaluation_mode(self.module),
            torch.inference_mode(),
            packed(self.module, tokens=tokens),
        ):
            yield

    def _end(self) -> int:
        end = self.chat.end if self.chat.end is not None else self.tokenizer.eos_token_id
        if end is None:
            raise ModelError(
                "expected a token that ends a turn, to tell answers apart that begin alike; this "
                "model has none. "
                "Use answers that are one token each, such as A and B."
            )
        return int(end)

    def _check_vocabulary(self) -> None:
        highest = max(self.tokenizer.get_vocab().values(), default=-1)
        if highest >= self._embedded():
            raise ModelError(
                f"expected a tokenizer of at most {self._embedded()} tokens, which is what the "
                "model embeds; "
                f"this one goes up to {highest + 1}. Take the tokenizer saved with the model, or "
                "resize the model's "
                "embedding and train it."
            )

    def _embedded(self) -> int:
        layer = self.module.get_input_embeddings()
        # An adapter may stand in the layer's place.
        weight = getattr(layer, "weight", None)
        return int((layer.base_layer.weight if weight is None else weight).shape[0])


def _ends(module: Any) -> list[int]:
    """End tokens that the model's generation settings name."""
    ends = getattr(getattr(module, "generation_config", None), "eos_token_id", None)
    listed = ends if isinstance(ends, list | tuple) else [] if ends is None else [ends]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in listed):
        raise ModelError(
            "expected eos_token_id in generation_config.json to be a token's number or a list of "
            f"them, got {ends!r:.60}; correct it or remove that file"
        )
    return list(listed)


def _without_end(tokens: Sequence[int], stops: frozenset[int]) -> Sequence[int]:
    return tokens[:-1] if tokens and tokens[-1] in stops else tokens
