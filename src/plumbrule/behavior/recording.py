"""What a comparison draws, kept in sealed shards: a killed one goes on, a finished one is checked.

Everything else in a comparison is a function of these records, of the two models' weights and of
the settings, and costs little to compute again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from plumbrule.behavior.pair import AskedPrompt, Draft, Pair, PairedReply, Spent
from plumbrule.models import Completion
from plumbrule.records import Prompt, to_json
from plumbrule.store import Shards, Tell, derive_seed, fingerprint, silent

Item = TypeVar("Item")
Result = TypeVar("Result")

CODE_VERSION = 9
"""Raised whenever the same inputs would give other records."""

SHARD = 128
"""Prompts a shard: what a crash can cost at most is one of them."""


@dataclass(kw_only=True)
class Recorder:
    """Draws through both models, keeps what was drawn, and knows what each part has cost."""

    pair: Pair
    seed: int
    folder: Path | None
    """Folder of the comparison; None keeps nothing."""

    identity: str
    """Hash of all that decides the comparison."""

    tell: Tell = silent
    costs: dict[str, Spent] = field(default_factory=dict)
    """By part, in the order in which parts began."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Account what happens inside to one part; parts may be entered again."""
        self.tell(name, 0, 0)
        before, started = self.pair.meter(), time.perf_counter()
        spent = self.costs.setdefault(name, Spent())
        try:
            yield
        finally:
            spent.seconds += time.perf_counter() - started
            for key, value in self.pair.meter().items():
                setattr(spent, key, getattr(spent, key) + value - before[key])

    def map(
        self,
        name: str,
        items: Sequence[Item],
        work: Callable[[Sequence[Item], int], Sequence[Result]],
        *,
        kind: type[Result],
    ) -> list[Result]:
        """Do work on items in shards; what was done before is read back with its cost."""
        if not items:
            return []
        if self.folder is None:
            return list(work(items, derive_seed(self.seed, name)))
        # A folder a call, so that what lies there beforehand is what this call reads back.
        call = fingerprint([to_json(item) for item in items])[:24]
        shards = Shards(
            self.folder / "records" / name / call,
            {"code": CODE_VERSION, "comparison": self.identity, "part": name},
        )
        earlier = shards.spent()
        results = shards.map(
            items, work, kind=kind, size=SHARD, seed=self.seed, meter=self.pair.meter
        )
        # Spent all the same: a budget must not begin anew with each interruption.
        self.pair.credit(earlier)
        return results

    def pairs(
        self, name: str, prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[PairedReply]:
        """Both models' replies to prompts, drawn with the same random numbers."""
        return self._drawn(name, prompts, seeds, self.pair.replies, PairedReply)

    def tuned_replies(
        self, name: str, prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[Completion]:
        """The tuned model's replies to prompts."""

        def draw(prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Completion]:
            return self.pair.draw(self.pair.tuned, prompts, seeds)

        return self._drawn(name, prompts, seeds, draw, Completion)

    def drafts(self, name: str, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Draft]:
        """The base's replies to prompts, weighed under both models."""
        return self._drawn(name, prompts, seeds, self.pair.drafts, Draft)

    def ask(self, name: str, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[AskedPrompt]:
        """How far the models part on prompts."""
        return self._drawn(name, prompts, seeds, self.pair.ask, AskedPrompt)

    def complete(self, name: str, asked: Sequence[AskedPrompt]) -> list[PairedReply]:
        """What was asked, with the tuned model's replies."""
        return self.map(name, asked, lambda shard, _: self.pair.complete(shard), kind=PairedReply)

    def _drawn(
        self,
        name: str,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        draw: Callable[[Sequence[Prompt], Sequence[int]], list[Result]],
        kind: type[Result],
    ) -> list[Result]:
        # A prompt may be drawn several times: its seed is part of what is asked, so it travels
        # in the id, and out of it again.
        items = [
            replace(prompt, id=f"{seed}:{prompt.id}")
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

        def work(shard: Sequence[Prompt], _: int) -> list[Result]:
            split = [item.id.split(":", 1) for item in shard]
            asked = [replace(item, id=name) for item, (_, name) in zip(shard, split, strict=True)]
            return draw(asked, [int(seed) for seed, _ in split])

        return self.map(name, items, work, kind=kind)
