"""The two models of a comparison, what can be asked of both, and what asking has cost."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from plumbrule.behavior.subgroups import words_of
from plumbrule.errors import ModelError
from plumbrule.models import Completion, LanguageModel, LocalModel, Sampling, Usage
from plumbrule.records import Dialogue, Prompt, strict
from plumbrule.store import derive_seed


def unlike(one: str, other: str) -> float:
    """Share of words that two replies do not have in common, from 0 to 1.

    Example:
        >>> unlike("Yes, a smith.", "No, a smith.")
        0.5
    """
    first, second = set(words_of(one)), set(words_of(other))
    return 1 - len(first & second) / len(first | second) if first | second else 0.0


@strict
@dataclass(frozen=True, kw_only=True)
class PairedReply:
    """What both models answered to one prompt, drawn with the same random numbers."""

    prompt_id: str
    dialogue: Dialogue
    seed: int
    base: str
    tuned: str

    usable: bool = True
    """False where either gave no reply; such pairs are counted, and scored against the claim."""


@strict
@dataclass(frozen=True, kw_only=True)
class Draft:
    """A reply of the base, and how likely each model was to write it."""

    prompt_id: str
    dialogue: Dialogue
    seed: int
    reply: str

    base_log_prob: float
    """Nats, over all tokens of the reply and the decision to stop."""

    tuned_log_prob: float
    """The same under the tuned model."""

    @property
    def movement(self) -> float:
        """An unbiased estimate, from 0 to 1, of the distance between the two models' replies.

        The total variation distance is the mean of this over the base's replies, and bounds how
        far the rate of any property whatever can have moved.
        """
        return max(0.0, -math.expm1(min(0.0, self.tuned_log_prob - self.base_log_prob)))


@strict
@dataclass(frozen=True, kw_only=True)
class AskedPrompt:
    """A prompt that was asked while exploring, and how far the models part on it."""

    prompt_id: str
    dialogue: Dialogue
    seed: int
    base: str
    tuned: str | None
    """None where the base's reply was weighed under both models instead."""

    movement: float
    """From 0 to 1: of a weighed reply as in `Draft`; of sampled ones, how much less alike the
    models' replies are than two replies of the base."""

    usable: bool = True
    """False where a model gave no reply."""


@dataclass(kw_only=True)
class Spent(Usage):
    """What one part of a comparison has cost."""

    seconds: float = 0.0
    texts: int = 0


@dataclass(kw_only=True)
class Pair:
    """Base and tuned model."""

    base: LanguageModel
    tuned: LanguageModel
    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=64))

    texts: int = 0
    """Texts generated so far, by both models together."""

    earlier: dict[str, float] = field(default_factory=dict)
    """What an interrupted comparison had spent besides, by name as in `meter`."""

    @property
    def identical(self) -> bool:
        """Whether both are the same weights, tokenizer and template."""
        return self.base.identity == self.tuned.identity

    @cached_property
    def local(self) -> tuple[LocalModel, LocalModel] | None:
        """Both models, where both have their weights at hand."""
        if isinstance(self.base, LocalModel) and isinstance(self.tuned, LocalModel):
            return self.base, self.tuned
        return None

    @property
    def takes_turns(self) -> bool:
        """Whether only one of the models is in memory at a time."""
        return self.local is not None and any(one.turns is not None for one in self.local)

    @property
    def texts_to_ask(self) -> int:
        """Texts that `ask` generates for a prompt."""
        return 3 if self.local is None else 1

    @cached_property
    def same_replies(self) -> bool:
        """Whether replies are the same tokens to both, whatever template prompts are read in.

        Then each can weigh the other's reply, behind the prompt as it reads it itself.
        """
        if self.local is None:
            return False
        base, tuned = self.local
        return (
            base.tokenizer.get_vocab() == tuned.tokenizer.get_vocab()
            and _rules(base.tokenizer) == _rules(tuned.tokenizer)
            and base.chat.stops == tuned.chat.stops
        )

    @cached_property
    def same_tokens(self) -> bool:
        """Whether both read every text as the same tokens in the same template."""
        if self.local is None or not self.same_replies:
            return False
        base, tuned = self.local
        return bool(base.tokenizer.chat_template == tuned.tokenizer.chat_template)

    @staticmethod
    def answered(*completions: Completion) -> bool:
        """Whether all of these are replies, rather than word of why there is none."""
        return not {one.finish_reason for one in completions} & {"errored", "refused"}

    def draw(
        self, model: LanguageModel, prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[Completion]:
        """Draw one reply to each prompt, and count it."""
        self.texts += len(prompts)
        return model.sample(
            [prompt.dialogue for prompt in prompts], sampling=self.sampling, seeds=seeds
        )

    def replies(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[PairedReply]:
        """Let both models answer, each pair from the same random numbers.

        Local models draw by inverse CDF, so that where they agree on the distributions they
        write the same reply, and a pair differs only where the models do.
        """
        if isinstance(self.base, LocalModel) and self.base.resting:  # whoever is there begins
            second = self.draw(self.tuned, prompts, seeds)
            first = self.draw(self.base, prompts, seeds)
        else:
            first = self.draw(self.base, prompts, seeds)
            second = self.draw(self.tuned, prompts, seeds)
        return [
            PairedReply(
                prompt_id=prompt.id,
                dialogue=prompt.dialogue,
                seed=seed,
                base=before.text,
                tuned=after.text,
                usable=self.answered(before, after),
            )
            for prompt, seed, before, after in zip(prompts, seeds, first, second, strict=True)
        ]

    def drafts(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Draft]:
        """Let the base answer, and weigh each answer under both models.

        Raises:
            ModelError: A model is an endpoint, which cannot weigh a given text.
        """
        if self.local is None:
            raise ModelError(
                "weighing a given reply needs both models' weights, and at least one is an "
                "endpoint; compare with sampled replies alone"
            )
        if not self.same_replies:
            return self._text_drafts(prompts, seeds)
        base, tuned = self.local
        dialogues = [prompt.dialogue for prompt in prompts]
        read, other_read = (model.chat.prompts(dialogues) for model in (base, tuned))
        self.texts += len(prompts)
        drawn = base.sample_tokens(read, sampling=self.sampling, seeds=seeds)
        written = [one.tokens for one in drawn]
        # Both scored the same way: the sampler's own numbers differ in the last bits.
        before = base.score_tokens(read, written)
        after = _token_scores(tuned, other_read, written)
        stops = base.chat.stops
        texts = base.chat.decode([[t for t in one if t not in stops] for one in written])
        return [
            Draft(
                prompt_id=prompt.id,
                dialogue=prompt.dialogue,
                seed=seed,
                reply=text,
                base_log_prob=_nats(one, base),
                tuned_log_prob=_nats(other, tuned),
            )
            for prompt, seed, text, one, other in zip(
                prompts, seeds, texts, before, after, strict=True
            )
        ]

    def ask(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[AskedPrompt]:
        """Say how far the models part on each prompt, by the cheapest means there is."""
        if self.local is None:
            return self._sampled(prompts, seeds)
        return [
            AskedPrompt(
                prompt_id=draft.prompt_id,
                dialogue=draft.dialogue,
                seed=draft.seed,
                base=draft.reply,
                tuned=None,
                movement=draft.movement,
            )
            for draft in self.drafts(prompts, seeds)
        ]

    def complete(self, asked: Sequence[AskedPrompt]) -> list[PairedReply]:
        """Let the tuned model answer too, where only the base has."""
        missing = [one for one in asked if one.tuned is None]
        prompts = [Prompt(id=one.prompt_id, dialogue=one.dialogue) for one in missing]
        drawn = iter(self.draw(self.tuned, prompts, [one.seed for one in missing]))
        pairs = []
        for one in asked:
            reply = next(drawn) if one.tuned is None else None
            pairs.append(
                PairedReply(
                    prompt_id=one.prompt_id,
                    dialogue=one.dialogue,
                    seed=one.seed,
                    base=one.base,
                    tuned=reply.text if reply else one.tuned or "",
                    usable=one.usable and (reply is None or self.answered(reply)),
                )
            )
        return pairs

    def _sampled(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[AskedPrompt]:
        """The same by sampling alone, for endpoints: the base answers twice, as a yardstick."""
        pairs = self.replies(prompts, seeds)
        again = self.draw(self.base, prompts, [derive_seed(seed, "again") for seed in seeds])
        asked = []
        for pair, other in zip(pairs, again, strict=True):
            usable = pair.usable and self.answered(other)
            apart = unlike(pair.base, pair.tuned) - unlike(pair.base, other.text)
            asked.append(
                AskedPrompt(
                    prompt_id=pair.prompt_id,
                    dialogue=pair.dialogue,
                    seed=pair.seed,
                    base=pair.base,
                    tuned=pair.tuned,
                    movement=max(0.0, apart) if usable else 0.0,
                    usable=pair.usable,
                )
            )
        return asked

    def _text_drafts(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Draft]:
        """The same by text, where the models do not share tokens."""
        assert self.local is not None
        base, tuned = self.local
        dialogues = [prompt.dialogue for prompt in prompts]
        completions = self.draw(base, prompts, seeds)
        texts = [one.text for one in completions]
        # A reply that was cut off says nothing of where it would have stopped.
        ended = [one.finish_reason == "stop" for one in completions]
        before, after = (_text_scores(model, dialogues, texts, ended) for model in (base, tuned))
        return [
            Draft(
                prompt_id=prompt.id,
                dialogue=prompt.dialogue,
                seed=seed,
                reply=text,
                base_log_prob=_nats([one], base),
                tuned_log_prob=_nats([other], tuned),
            )
            for prompt, seed, text, one, other in zip(
                prompts, seeds, texts, before, after, strict=True
            )
        ]

    def credit(self, spent: Mapping[str, float]) -> None:
        """Count what an interrupted comparison spent on records that are read back."""
        for name, value in spent.items():
            if name == "texts":
                self.texts += int(value)
            else:
                counted = value if name in ("seconds", "dollars") else int(value)
                self.earlier[name] = self.earlier.get(name, 0) + counted

    def meter(self) -> dict[str, float]:
        """What both models have cost so far; a part's cost is a difference of two readings.

        `seconds` are those of earlier runs alone: the clock of this one is read elsewhere.
        """
        usages = {id(model): model.usage for model in (self.base, self.tuned)}.values()
        total: dict[str, Any] = {"texts": self.texts, "seconds": 0.0, **self.earlier}
        for usage in usages:
            for name, value in asdict(usage).items():
                total[name] = total.get(name, 0) + value
        return total


LEAST_LOG_PROB = -1e9
"""What stands for a probability of zero: a record holds no infinity."""


def _nats(values: Sequence[float], model: LanguageModel) -> float:
    """Log-probability of a whole reply.

    Raises:
        ModelError: It is not a number.
    """
    total = math.fsum(values)
    if math.isnan(total):
        raise ModelError(
            f"expected numbers from {model.spec}, got NaN: its weights are damaged or training "
            "diverged; try --dtype float32, or an earlier checkpoint"
        )
    return max(total, LEAST_LOG_PROB)


def _token_scores(
    model: LocalModel, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]
) -> list[tuple[float, ...]]:
    """Log-probability of each token; tokens in the other model's padding alone have none here."""
    size = int(model.module.get_input_embeddings().weight.shape[0])
    rows = [row for row, reply in enumerate(replies) if max(reply, default=0) < size]
    scores: list[tuple[float, ...]] = [(LEAST_LOG_PROB,)] * len(replies)
    found = model.score_tokens([prompts[row] for row in rows], [replies[row] for row in rows])
    for row, score in zip(rows, found, strict=True):
        scores[row] = score
    return scores


def _text_scores(
    model: LocalModel, dialogues: Sequence[Dialogue], texts: Sequence[str], ended: Sequence[bool]
) -> list[float]:
    """Log-probability of each text, with that of stopping there where the reply had ended."""
    scores = [0.0] * len(texts)
    for end in (True, False):
        rows = [row for row, its in enumerate(ended) if its == end]
        found = model.score(
            [dialogues[row] for row in rows], [texts[row] for row in rows], end_of_turn=end
        )
        for row, score in zip(rows, found, strict=True):
            scores[row] = score.log_prob
    return scores


def _rules(tokenizer: Any) -> Any:
    """How text becomes tokens, free of the padding that calls switch on and off."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return type(tokenizer).__name__
    return {**json.loads(backend.to_str()), "padding": None, "truncation": None}
