"""Watch a model while it is trained: reply, measure, decide, and keep the best weights.

What is kept of the best and of the starting model is its trained weights, in main memory; the best
ones are part of every checkpoint, with all that the stopping rule remembers, so that a run that was
killed goes on to the same decision.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import TrainerCallback

from plumbrule.errors import DataError, ModelError
from plumbrule.models import LocalModel, Sampling
from plumbrule.records import Dialogue, from_json, to_json
from plumbrule.store import canonical, derive_seed, write_atomic
from plumbrule.training.collapse import (
    ReplyMeasures,
    divergence_per_token,
    entropy_per_token,
    mean_repetition,
    perplexity_per_token,
    shared_runs,
    unique_share,
)
from plumbrule.training.monitors import EarlyStop, Monitor, Monitored, Scorer
from plumbrule.training.overoptimization import RuleState, ScoredReplies, StoppingRule
from plumbrule.training.results import TrainingProgress

ROOM = 256
"""Tokens of a reply where neither the monitor nor training says how many."""

CHECKS_A_RUN = 20

_FOLDER = "monitor"  # of a checkpoint

Weights = Mapping[str, Tensor]
"""Trained weights by name, in main memory."""


def weights_of(module: Any) -> Weights:
    """A copy of the weights that are trained."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in module.named_parameters()
        if value.requires_grad
    }


@torch.no_grad()
def wear(module: Any, weights: Weights) -> None:
    """Give a model the weights of another moment."""
    for name, value in module.named_parameters():
        if value.requires_grad:
            value.copy_(weights[name])


@contextmanager
def worn(module: Any, weights: Weights) -> Iterator[None]:
    """Give a model the weights of another moment for a while; its own come back bit for bit."""
    own = weights_of(module)
    wear(module, weights)
    try:
        yield
    finally:
        wear(module, own)


class MonitorSession(TrainerCallback):  # type: ignore[misc]
    """One run under a monitor's eyes."""

    def __init__(
        self,
        monitor: Monitor,
        module: Any,
        tokenizer: Any,
        *,
        seed: int,
        room: int | None = None,
        progress: TrainingProgress | None = None,
    ) -> None:
        """Take the starting weights down, before training or a checkpoint changes them.

        Args:
            monitor: What to watch by.
            module: The model as the trainer has it.
            tokenizer: Its tokenizer, with a chat template.
            seed: The run's.
            room: Tokens of a reply where the monitor does not say.
            progress: Told what each check found.
        """
        self._monitor, self._module, self._progress = monitor, module, progress
        self._model = LocalModel(module, tokenizer, identity="in training")
        self._seed = seed
        self._sampling = Sampling(max_new_tokens=monitor.settings.max_new_tokens or room or ROOM)
        self._rule = StoppingRule(monitor.settings, seed=derive_seed(seed, "signs"))
        self._start = self._best = weights_of(module)
        self._neutral = _tokenized(tokenizer, monitor.neutral, self._model.context)
        self._model.check_lengths(monitor.dialogues, self._sampling.max_new_tokens)
        self._seconds = 0.0
        self._every = 1
        self.stopped: EarlyStop | None = None

    def restore(self, checkpoint: Path) -> None:
        """Go on from what a checkpoint holds.

        Raises:
            DataError: The checkpoint is of a run without a monitor.
        """
        folder = checkpoint / _FOLDER
        if not (folder / "state.json").exists():
            raise DataError(f"expected what the monitor remembers in {checkpoint}, there is none")
        content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        state = from_json(RuleState, content["rule"], origin=str(folder / "state.json"))
        self._rule.state = state
        self._seconds = float(content["seconds"])
        self._best = load_file(folder / "best.safetensors")

    def result(self) -> Monitored:
        """What was seen, once training is over."""
        return Monitored(
            checks=self._rule.state.checks, stopped=self.stopped, seconds=self._seconds
        )

    def keep_best(self) -> None:
        """Have the model wear its best weights, where training was stopped."""
        if self.stopped is not None:
            wear(self._module, self._best)

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Look at the starting model, unless a checkpoint says what was seen."""
        self._every = self._monitor.settings.every or max(1, state.max_steps // CHECKS_A_RUN)
        if not self._rule.state.checks:
            self._check(0, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Look at the model where a check is due."""
        step = state.global_step
        if step % self._every == 0 or step >= state.max_steps:
            self.stopped = self._check(step, state.max_steps)
            if self.stopped is not None:
                control.should_training_stop = True

    def write(self, checkpoint: Path) -> None:
        """Put what is remembered into a checkpoint, before it is sealed."""
        folder = checkpoint / _FOLDER
        folder.mkdir(exist_ok=True)
        save_file(dict(self._best), folder / "best.safetensors")
        content = {"rule": to_json(self._rule.state), "seconds": self._seconds}
        write_atomic(folder / "state.json", canonical(content))

    def _check(self, step: int, steps: int) -> EarlyStop | None:
        began = time.monotonic()
        try:
            stop = self._look(step)
        except ModelError as error:
            if step == 0:
                raise
            stop = self._rule.lost(step, str(error))
        if self._rule.state.best_step == step and step:
            self._best = weights_of(self._module)
        self._seconds += time.monotonic() - began
        self._tell(step, steps)
        return stop

    def _tell(self, step: int, steps: int) -> None:
        seen = self._rule.state.checks[-1]
        if self._progress and seen.step == step:
            known = {"monitor/gold": seen.gold, "monitor/proxy": seen.proxy}
            self._progress(
                step, steps, {name: value for name, value in known.items() if value is not None}
            )

    def _look(self, step: int) -> EarlyStop | None:
        dialogues = list(self._monitor.dialogues)
        drawn = self._draw(dialogues, "check")
        return self._rule.look(
            step,
            self._scored(dialogues, drawn.texts),
            self._measures(dialogues, drawn, at_start=step == 0),
            self._confirm,
        )

    def _draw(self, dialogues: Sequence[Dialogue], *names: object) -> "_Drawn":
        replies = self._model.sample_tokens(
            self._model.chat.prompts(dialogues),
            sampling=self._sampling,
            seeds=[derive_seed(self._seed, *names, place) for place in range(len(dialogues))],
            log_probs=True,
        )
        stops = self._model.chat.stops
        spoken = [each.tokens[:-1] if each.tokens[-1] in stops else each.tokens for each in replies]
        return _Drawn(
            tokens=[each.tokens for each in replies],
            texts=self._model.chat.decode(spoken),
            log_probs=[each.log_probs or () for each in replies],
            cut_off=[each.finish_reason == "length" for each in replies],
        )

    def _confirm(self, number: int) -> tuple[ScoredReplies, ScoredReplies]:
        """Scores of fresh replies by the best and the present model, one mean for each prompt."""
        with worn(self._module, self._best):
            best = self._fresh(number)
        return best, self._fresh(number)

    def _fresh(self, number: int) -> ScoredReplies:
        copies = self._monitor.settings.confirming_replies
        dialogues = [dialogue for dialogue in self._monitor.dialogues for _ in range(copies)]
        drawn = self._draw(dialogues, "confirm", number)
        seen = self._scored(dialogues, drawn.texts)
        return ScoredReplies(
            gold=_by_prompt(seen.gold, copies), proxy=_by_prompt(seen.proxy, copies)
        )

    def _scored(self, dialogues: Sequence[Dialogue], replies: Sequence[str]) -> ScoredReplies:
        return ScoredReplies(
            gold=_scores("gold", self._monitor.gold, dialogues, replies),
            proxy=_scores("proxy", self._monitor.proxy, dialogues, replies),
        )

    def _measures(
        self, dialogues: Sequence[Dialogue], drawn: "_Drawn", *, at_start: bool
    ) -> ReplyMeasures:
        declines, count = self._monitor.declines, len(dialogues)
        return ReplyMeasures(
            length=sum(map(len, drawn.tokens)) / count,
            cut_off=sum(drawn.cut_off) / count,
            repetition=mean_repetition(drawn.texts),
            boilerplate=shared_runs(drawn.texts),
            unique=unique_share(drawn.texts),
            entropy=entropy_per_token(drawn.log_probs),
            divergence=0.0 if at_start else self._divergence(dialogues, drawn),
            refusals=None
            if declines is None
            else sum(bool(declines(text)) for text in drawn.texts) / count,
            perplexity=self._perplexity(),
        )

    def _divergence(self, dialogues: Sequence[Dialogue], drawn: "_Drawn") -> float:
        with worn(self._module, self._start):
            first = self._model.score_tokens(self._model.chat.prompts(dialogues), drawn.tokens)
        return divergence_per_token(drawn.log_probs, first)

    def _perplexity(self) -> float | None:
        if not self._neutral:
            return None
        heads, rests = [text[:1] for text in self._neutral], [text[1:] for text in self._neutral]
        return perplexity_per_token(self._model.score_tokens(heads, rests))


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Replies that were drawn, one per prompt."""

    tokens: Sequence[Sequence[int]]
    texts: Sequence[str]
    log_probs: Sequence[Sequence[float]]
    cut_off: Sequence[bool]


def _tokenized(tokenizer: Any, texts: Sequence[str], context: int | None) -> list[list[int]]:
    """Neutral texts as tokens, up to what the model reads.

    Raises:
        DataError: One is too short to have a second token, which is the first that can be told.
    """
    found = [tokenizer(text, add_special_tokens=False)["input_ids"][:context] for text in texts]
    for text, tokens in zip(texts, found, strict=True):
        if len(tokens) < 2:
            raise DataError(
                f"expected neutral texts of at least two tokens, got {text[:40]!r}; leave it out"
            )
    return found


def _scores(
    name: str, scorer: Scorer | None, dialogues: Sequence[Dialogue], replies: Sequence[str]
) -> list[float] | None:
    if scorer is None:
        return None
    values = [float(value) for value in scorer(dialogues, replies)]
    if len(values) != len(replies) or not all(math.isfinite(value) for value in values):
        raise DataError(
            f"expected one finite {name} score a reply, {len(replies)} of them, got {values[:8]}"
            f"{' …' if len(values) > 8 else ''}; correct the monitor's {name} function"
        )
    return values


def _by_prompt(values: Sequence[float] | None, copies: int) -> list[float] | None:
    """Means over the replies to each prompt, which lie together."""
    if values is None:
        return None
    return [math.fsum(values[at : at + copies]) / copies for at in range(0, len(values), copies)]
