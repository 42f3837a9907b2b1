"""A model's replies to prompts and what the judge says of them, kept on disk."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from plumbrule.constitution import Constitution, Principle
from plumbrule.loop.remedies.ground import LoopGround, LoopSettings
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import Dialogue, Exchange, Prompt, strict
from plumbrule.store import Shards, Tell, derive_seed, fingerprint, silent

UNIT = "violations per reply"

Flags = Bool[np.ndarray, " prompts"]


@strict
@dataclass(frozen=True, kw_only=True)
class ReadReply:
    """What the judge says of one reply."""

    exchange_id: str
    broken: dict[str, bool | None]
    """By principle; None where it could not be read."""

    @property
    def fails(self) -> set[str]:
        """Principles that it breaks."""
        return {name for name, said in self.broken.items() if said}


@dataclass(frozen=True, kw_only=True)
class JudgedLook:
    """Replies and verdicts, one a prompt, in order."""

    prompts: Sequence[Prompt]
    exchanges: Sequence[Exchange]
    read: Sequence[ReadReply]
    tokens: int
    """Tokens read and written to draw the replies."""

    def failing(self, principle_id: str) -> list[int]:
        """Places of replies that break a principle."""
        return [at for at, each in enumerate(self.read) if principle_id in each.fails]

    def part(self, places: Sequence[int]) -> "JudgedLook":
        """The same look at some of the prompts alone."""
        return replace(
            self,
            prompts=[self.prompts[at] for at in places],
            exchanges=[self.exchanges[at] for at in places],
            read=[self.read[at] for at in places],
        )

    @property
    def unreadable(self) -> float:
        """Share of replies that the judge could not read under some principle."""
        return sum(None in each.broken.values() for each in self.read) / max(1, len(self.read))


def flags(
    looks: Sequence[JudgedLook], principle_id: str, kinds: Collection[str] | None = None
) -> list[Flags]:
    """Whether each reply breaks a principle, on the prompts that all looks could be read on.

    Args:
        looks: At the same prompts.
        principle_id: One that does not speak of a request counts as kept there, unless no look
            speaks of it: such prompts are left out.
        kinds: Kinds of request to count; None: all.
    """
    found: list[list[bool]] = [[] for _ in looks]
    for at, prompt in enumerate(looks[0].prompts):
        said = [look.read[at].broken.get(principle_id, "silent") for look in looks]
        if None in said or all(each == "silent" for each in said):
            continue
        if kinds is None or prompt.kind in kinds:
            for row, each in zip(found, said, strict=True):
                row.append(each is True)
    return [np.array(row, dtype=bool) for row in found]


@dataclass(frozen=True, kw_only=True)
class ModelLooker:
    """Draws replies and has them judged; what was done once is read from disk."""

    ground: LoopGround
    settings: LoopSettings
    folder: Path
    tell: Tell = silent

    def look(
        self,
        model: LanguageModel,
        prompts: Sequence[Prompt],
        principles: Sequence[Principle],
        name: str,
    ) -> JudgedLook:
        """A model's replies to prompts, judged.

        Args:
            model: Who replies.
            prompts: What is asked.
            principles: By which.
            name: Of the step, for progress.
        """
        exchanges = self.draw(model, prompts, name)
        return JudgedLook(
            prompts=prompts,
            exchanges=exchanges,
            read=self.judge(exchanges, principles),
            tokens=tokens_of(model, exchanges),
        )

    def judge(
        self, exchanges: Sequence[Exchange], principles: Sequence[Principle]
    ) -> list[ReadReply]:
        """The judge's word on replies."""
        asked = [[each.id, each.statement()] for each in principles]
        inputs = {"judge": self.ground.judge_identity, "principles": fingerprint(asked)}

        def work(shard: Sequence[Exchange], seed: int) -> list[ReadReply]:
            del seed
            said = self.ground.judge(shard, principles)
            return [
                ReadReply(exchange_id=each.id, broken=dict(own))
                for each, own in zip(shard, said, strict=True)
            ]

        return Shards(self.folder / "judgments", inputs).map(
            exchanges, work, kind=ReadReply, size=256, seed=self.settings.seed
        )

    def write(self, law: Constitution, asked: Sequence[Exchange]) -> list[Exchange]:
        """Replies as a constitution asks, to what some replies were given to.

        Where nobody can write one, the reply is empty and its finish reason says `refused`.
        """
        given = [Exchange(id=e.id, dialogue=e.dialogue, response="", model="") for e in asked]

        def work(shard: Sequence[Exchange], seed: int) -> list[Exchange]:
            texts = self.ground.writer(law, [each.dialogue for each in shard], seed % 2**31)
            return [
                replace(
                    each,
                    response=text or "",
                    model="written by the constitution",
                    finish_reason="stop" if text else "refused",
                )
                for each, text in zip(shard, texts, strict=True)
            ]

        inputs = {"writer": self.ground.writer_identity, "law": law.sha256}
        return Shards(self.folder / "written", inputs).map(
            given, work, kind=Exchange, size=256, seed=self.settings.seed
        )

    def ask(self, like: Sequence[Prompt], each: int) -> list[Prompt]:
        """Further requests of the sort of some, so many of each, as whoever writes them has them.

        Args:
            like: Prompts.
            each: Requests wanted of the sort of each.

        Returns:
            Those that could be written; none twice, and none where nobody writes any.
        """
        asker = self.ground.asker
        if asker is None or not like:
            return []
        given = [
            Exchange(id=f"{one.id} further {at}", dialogue=one.dialogue, response="", model="")
            for at in range(each)
            for one in like
        ]

        def work(shard: Sequence[Exchange], seed: int) -> list[Exchange]:
            asked = asker([one.dialogue for one in shard], seed % 2**31)
            return [
                replace(
                    one, dialogue=new or one.dialogue, finish_reason="stop" if new else "refused"
                )
                for one, new in zip(shard, asked, strict=True)
            ]

        written = Shards(self.folder / "asked", {"asker": self.ground.asker_identity}).map(
            given, work, kind=Exchange, size=256, seed=self.settings.seed
        )
        found: dict[Dialogue, Prompt] = {}
        for at, new in enumerate(written):
            if new.finish_reason == "stop":
                old = like[at % len(like)]
                said = fingerprint([[turn.role, turn.content] for turn in new.dialogue])
                named = replace(old, id=f"further {said[:16]}", dialogue=new.dialogue)
                found.setdefault(new.dialogue, named)
        return list(found.values())

    def draw(
        self, model: LanguageModel, prompts: Sequence[Prompt], name: str, turn: int = 0
    ) -> list[Exchange]:
        """One reply to each prompt; another one at each turn."""
        sampling, seed = self.settings.sampling, self.settings.seed

        def work(shard: Sequence[Prompt], own: int) -> list[Exchange]:
            del own
            seeds = [derive_seed(seed, "reply", turn, each.id) % 2**31 for each in shard]
            drawn = model.sample([e.dialogue for e in shard], sampling=sampling, seeds=seeds)
            return [
                Exchange(
                    id=prompt.id,
                    dialogue=prompt.dialogue,
                    response=one.text,
                    model=model.identity,
                    sampling=asdict(sampling),
                    seed=each,
                    finish_reason=one.finish_reason,
                )
                for prompt, one, each in zip(shard, drawn, seeds, strict=True)
            ]

        inputs = {"model": model.identity, "sampling": asdict(sampling), "turn": turn}
        return Shards(self.folder / "replies", inputs).map(
            prompts,
            work,
            kind=Exchange,
            size=256,
            seed=seed,
            progress=lambda done, total: self.tell(name, done, total),
        )


def tokens_of(model: LanguageModel, exchanges: Sequence[Exchange]) -> int:
    """Tokens of prompts and replies; 0 where the model's tokens are not at hand."""
    if not isinstance(model, LocalModel) or not exchanges:
        return 0
    rows = model.chat.with_replies(
        [each.dialogue for each in exchanges], [each.response for each in exchanges]
    )
    return sum(len(before) + len(reply) for before, reply in rows)
