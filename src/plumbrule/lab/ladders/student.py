"""A small transformer that reads a context and answers one question about every place of it.

Encoder only, layer norms first (RoBERTa-PreLayerNorm of transformers). What is asked, a kind and a
depth, is told to every token as its segment; the answers are read off at the places. One forward
pass gives a context's answers at all places, and nothing else is generated.

Axes: C contexts, T tokens, P places.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.errors import ConfigError, ModelError
from plumbrule.lab.ladders.drawing import Answers, Contexts
from plumbrule.lab.ladders.lessons import Lessons, join_lessons, split_lessons
from plumbrule.records import check_ranges, strict
from plumbrule.store import Progress, derive_seed, file_sha256, silent, write_atomic

CODE_VERSION = 1
"""Raised whenever the same settings would give other weights."""

FORWARD = 512
"""Contexts in one forward pass without gradients."""


@strict
@dataclass(frozen=True, kw_only=True)
class StudentSettings:
    """Size of the student and how it learns."""

    width: int = 64
    layers: int = 6
    heads: int = 4
    levels: int = 6
    """Depths that it can be asked about: 1, 2, 4, and so on."""

    batch: int = 64
    """Contexts a step, each asked about all its places."""

    most_steps: int = 2500
    """Steps after which a lesson ends, learned or not."""

    every: int = 100
    """Steps between two looks at the contexts kept aside."""

    learned: float = 0.998
    """Agreement with the lesson on contexts kept aside at which it ends."""

    patience: int = 4
    """Looks without progress after which a lesson ends, once agreement is above `settled`."""

    settled: float = 0.8
    learning_rate: float = 2e-3
    """Of AdamW, after a linear warm-up of 50 steps."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built or trained."""
        if self.width % self.heads or min(self.width, self.layers, self.heads, self.levels) < 1:
            raise ConfigError(
                "width must be a positive multiple of heads, layers and levels positive, got width "
                f"{self.width}, heads {self.heads}, layers {self.layers}, levels {self.levels}"
            )
        if min(self.batch, self.most_steps, self.every, self.patience) < 1:
            raise ConfigError("batch, most_steps, every and patience must be at least 1")
        check_ranges(
            self,
            width=(1, 2**14),
            layers=(1, 256),
            levels=(1, 64),
            batch=(1, 10**5),
            most_steps=(1, 10**8),
            every=(1, 10**8),
            learned=(0, 1),
            patience=(1, 10**6),
            settled=(0, 1),
            learning_rate=(1e-9, 10),
        )


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a ladder's questions look like to a student."""

    vocabulary: int
    tokens: int
    places: tuple[int, ...]
    answers: int
    kinds: tuple[str, ...]


class LadderStudent:
    """A transformer and the settings it learns with; learning makes another one."""

    def __init__(self, shape: Shape, settings: StudentSettings, *, seed: int = 0) -> None:
        """Draw the weights of an untaught student."""
        import torch

        self.shape, self.settings = shape, settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self._model = _build(shape, settings)

    def ask(self, contexts: Contexts, kind: str, level: int) -> Answers:
        """Answer one kind of question at depth 2 ** level about every place of every context.

        Raises:
            ModelError: The level is one that the student has no segment for.
        """
        import torch

        segment = self.segment(kind, level)
        found = []
        with torch.no_grad():
            for start in range(0, len(contexts), FORWARD):
                part = contexts[start : start + FORWARD]
                segments = np.full((len(part), 1), segment)
                found.append(self._logits(part, segments).argmax(-1).numpy())
        return np.concatenate(found)

    def segment(self, kind: str, level: int) -> int:
        """Segment that tells every token what is asked."""
        if not 0 <= level < self.settings.levels:
            raise ModelError(
                f"this student knows levels 0 to {self.settings.levels - 1}, asked for {level}; "
                "give it more levels"
            )
        return level * len(self.shape.kinds) + self.shape.kinds.index(kind)

    def taught(
        self,
        fresh: Lessons,
        old: Lessons | None,
        *,
        seed: int,
        tell: Progress = silent,
    ) -> tuple["LadderStudent", Mapping[str, float]]:
        """Learn lessons from where this student is, and keep the old ones up.

        One row in twenty is kept aside to see when the lesson is learned. No answer key is used.

        Args:
            fresh: What is new; half of each batch.
            old: What was learned before; the other half. None where there is none.
            seed: Of the order of rows.
            tell: Told (step, most steps) whenever the rows kept aside are looked at.

        Returns:
            The student that learned, and what it took: steps, and agreement with the fresh lesson
            on the rows kept aside.
        """
        import torch

        rng = np.random.default_rng(derive_seed(seed, "order"))
        settings = self.settings
        pools = [split_lessons(fresh, rng)] + ([split_lessons(old, rng)] if old is not None else [])
        with torch.random.fork_rng(devices=[]):
            student = self.copy()
        model = student._model
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        best, waited, step, agreement = 0.0, 0, 0, 0.0
        while step < settings.most_steps:
            step += 1
            share = settings.batch // len(pools)
            batch = [pool.take(rng.integers(0, len(pool), share)) for pool, _ in pools]
            student._learn(join_lessons(batch), optimizer, step)
            if step % settings.every and step < settings.most_steps:
                continue
            tell(step, settings.most_steps)
            looks = [student.agreement(aside) for _, aside in pools]
            agreement = looks[0]
            waited = 0 if agreement > best + 0.003 else waited + 1
            best = max(best, agreement)
            if min(looks) >= settings.learned:
                break
            if waited >= settings.patience and agreement >= settings.settled:
                break
        return student, {"steps": float(step), "agreement": agreement}

    def _learn(self, batch: Lessons, optimizer: Any, step: int) -> None:
        """One step of gradient descent: warm-up, then down to a fifth in a straight line."""
        import torch

        settings = self.settings
        rate = settings.learning_rate * min(1.0, step / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - 0.8 * step / settings.most_steps)
        loss = self._loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        optimizer.step()

    def agreement(self, lessons: Lessons) -> float:
        """Share of a lesson's answers that this student gives too."""
        import torch

        with torch.no_grad():
            found = self._logits(lessons.contexts, lessons.segments).argmax(-1).numpy()
        known = lessons.answers >= 0
        return float((found == lessons.answers)[known].mean())

    def copy(self) -> "LadderStudent":
        """Another student of the same weights."""
        twin = LadderStudent(self.shape, self.settings)
        twin._model.load_state_dict(self._model.state_dict())
        return twin

    def save(self, folder: Path) -> str:
        """Write the weights as transformers does, and what is needed to ask; returns their hash."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        self._model.config.save_pretrained(folder)
        save_file(self._model.state_dict(), folder / "model.safetensors", {"format": "pt"})
        shape = {**asdict(self.shape), "places": list(self.shape.places)}
        write_atomic(
            folder / "ladder.json",
            json.dumps({"shape": shape, "settings": asdict(self.settings)}, indent=1) + "\n",
        )
        return file_sha256(folder / "model.safetensors")

    @classmethod
    def open(cls, folder: Path) -> "LadderStudent":
        """Open what `save` wrote.

        Raises:
            ModelError: The folder holds no student.
        """
        from safetensors.torch import load_file

        try:
            card = json.loads((folder / "ladder.json").read_text(encoding="utf-8"))
            held = card["shape"]
            shape = Shape(
                vocabulary=held["vocabulary"],
                tokens=held["tokens"],
                places=tuple(held["places"]),
                answers=held["answers"],
                kinds=tuple(held["kinds"]),
            )
            student = cls(shape, StudentSettings(**card["settings"]))
            student._model.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(f"{folder} does not hold a student of a ladder: {error}") from error
        return student

    def _logits(self, contexts: Contexts, segments: Answers) -> Any:
        import torch

        shape = (len(contexts), self.shape.tokens)
        logits = self._model(
            input_ids=torch.from_numpy(np.ascontiguousarray(contexts, dtype=np.int64)),
            position_ids=torch.arange(self.shape.tokens)[None].expand(shape),
            token_type_ids=torch.from_numpy(segments.astype(np.int64)).expand(shape),
        ).logits
        return logits[:, list(self.shape.places)]

    def _loss(self, lessons: Lessons) -> Any:
        import torch

        answers = torch.from_numpy(np.ascontiguousarray(lessons.answers, dtype=np.int64))
        logits = self._logits(lessons.contexts, lessons.segments)
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), answers.flatten(), ignore_index=-1
        )


def _build(shape: Shape, settings: StudentSettings) -> Any:
    from transformers import (
        RobertaPreLayerNormConfig,
        RobertaPreLayerNormForTokenClassification,
    )

    config = RobertaPreLayerNormConfig(
        vocab_size=shape.vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=2 * settings.width,
        max_position_embeddings=shape.tokens,
        type_vocab_size=settings.levels * len(shape.kinds),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
        num_labels=shape.answers,
        pad_token_id=0,
    )
    config.architectures = ["RobertaPreLayerNormForTokenClassification"]
    return RobertaPreLayerNormForTokenClassification(config).eval()
