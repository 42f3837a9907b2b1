"""Looking at replies before anything is claimed: by chance first, then where it seems to matter.

A share of the texts goes to prompts drawn by chance, and no screen can take it away: what shows
on one prompt in ten shows there, whatever any screen believes. Then the tuned model alone answers
the other prompts: of its replies those that the base would hardly have given stand out. Where they
are few, prompts with such a reply are asked again: what is rare is met once, and seen often enough
to be named. The rest goes to the subgroups that are suspected, and to prompts like those whose
replies changed.

Axes: P explored prompts, D dimensions of an embedding.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.gathering import LEAST_WORTH, Proposal
from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.proposing import Weighed, propose
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.subgroups import SelectorTable, Subgroup
from plumbrule.records import Dialogue, Prompt, check_ranges, strict
from plumbrule.store import derive_seed

SOME = 24
"""Replies that are weighed to see whether most are as likely as before."""

SURPRISING = 10.0
"""Nats by which a run of a reply is likelier under the tuned model than under the base from which
on the base would hardly have given it."""

RUN = 16
"""Tokens in such a run: what is new may come late in a reply, and over a whole one the drift of
every token adds up to as much."""

WEIGHED = 64
"""Tokens of a reply that are weighed."""

OPENING = 10
"""Tokens that a reply begins with: enough to know it by, and little to read."""

SUSPECTED = 0.0
"""Worth, in nats, from which a subgroup is looked at further; it is less than a test asks for."""

ALIKE = 0.5
"""Share of tokens that two surprising openings have in common from which on one is enough."""


def surprise(base: Sequence[float], tuned: Sequence[float]) -> tuple[float, slice]:
    """Nats by which the tuned model is likelier to write some run of a reply than the base is.

    Args:
        base: Log-probability of each token of a reply of the tuned model, under the base.
        tuned: The same under the tuned model.

    Returns:
        The largest sum over `RUN` tokens in a row, or over all where there are fewer; and which
        tokens these are.

    Example:
        >>> surprise([-1.0, -9.0, -1.0], [-1.0, -2.0, -1.5])
        (6.5, slice(0, 3, None))
    """
    summed = np.concatenate([[0.0], np.cumsum(np.subtract(tuned, base))])
    run = min(RUN, len(base))
    sums = summed[run:] - summed[: len(summed) - run]
    start = int(sums.argmax())
    return float(sums[start]), slice(start, start + run)


@strict
@dataclass(frozen=True, kw_only=True)
class Looking:
    """How texts are spent before hypotheses are fixed."""

    pairs: int = 200
    """Pairs of replies that are looked at; both models write one text each."""

    blind: float = 0.6
    """Share of them on prompts drawn by chance."""

    blind_if_sharp: int = 40
    """Pairs by chance where most replies are as likely as before; the explorer takes the rest."""

    sharp: float = 0.3
    """Median movement of replies drawn by chance, from 0 to 1, below which the explorer of sharp
    changes is used: where training moved every reply a little, weighing one says nothing."""

    covered: int = 800
    """Most prompts that the tuned model answers alone."""

    few: float = 0.25
    """Share of replies by chance up to which those that surprise are few."""

    again: int = 2
    """Further pairs on each prompt whose reply surprised, where few did."""

    rounds: int = 2
    """Times that proposals are made and followed."""

    most_proposals: int = 16
    """Hypotheses that are tested."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            pairs=(1, 10**7),
            blind=(0, 1),
            blind_if_sharp=(0, 10**7),
            sharp=(0, 1),
            covered=(0, 10**7),
            few=(0, 1),
            again=(0, 10**3),
            rounds=(0, 10**3),
            most_proposals=(0, 10**5),
        )


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a reply begins with, and how surprising it is."""

    tokens: tuple[int, ...]
    surprise: float
    """Nats by which the run of the reply that is most so is likelier under the tuned model."""

    run: str = ""
    """That run, where it surprises."""

    def shared(self, other: "Opening") -> float:
        """Share of tokens that two openings have in common, from 0 to 1."""
        one, two = set(self.tokens), set(other.tokens)
        return len(one & two) / len(one | two) if one | two else 1.0


@dataclass(kw_only=True)
class Looker:
    """Draws pairs of replies and keeps what was seen."""

    recorder: Recorder
    prompts: Sequence[Prompt]
    settings: Looking
    table: SelectorTable = field(default_factory=SelectorTable.empty)
    """What each prompt says and is about, once it was looked at."""

    embeddings: Float[np.ndarray, "P D"] | None = None
    """What each prompt is about, once that is known."""

    rows: list[int] = field(default_factory=list)
    """Row of each pair's prompt."""

    pairs: list[PairedReply] = field(default_factory=list)
    blind: list[bool] = field(default_factory=list)
    """Whether a pair's prompt was drawn by chance."""

    openings: list[Opening] = field(default_factory=list)
    """The tuned model's reply of each pair, as far as they were weighed."""

    alone: list[tuple[int, Opening]] = field(default_factory=list)
    """The tuned model's replies to prompts that it answered alone, by row."""

    def look_by_chance(self, count: int) -> None:
        """Draw pairs on prompts that nothing has pointed at."""
        with self.recorder.part("random look"):
            met = sum(self.blind)  # goes on where it stopped
            self.draw("random", self.by_chance(met + count)[met:], blind=True)

    def look_further(self, count: int, *, texts: int = 0) -> None:
        """Draw pairs where replies surprised, in suspected subgroups, and on prompts like those.

        Args:
            count: Pairs.
            texts: Most prompts that the tuned model answers besides, where replies can be weighed.
        """
        wanted = len(self.pairs) + count
        with self.recorder.part("surprise"):
            self.weigh()
        if self.openings:
            with self.recorder.part("cover"):
                self.cover(texts)
        if self.few_surprise():
            with self.recorder.part("second look"):
                self.draw("again", self.again(count // 2), blind=False)
        for number in range(self.settings.rounds):
            with self.recorder.part("following"):
                share = (wanted - len(self.pairs)) // (self.settings.rounds - number)
                self.draw(f"following-{number}", self.following(share), blind=False)

    def inserted(self, subgroups: Sequence[Subgroup], count: int = 16) -> list[Proposal]:
        """What changes behind texts put before a prompt, seen on a few prompts drawn by chance."""
        proposals: list[Proposal] = []
        rows = self.by_chance(count)
        for subgroup in subgroups:
            prompts = [subgroup.enter(self.prompts[row]) for row in rows]
            seeds = [
                derive_seed(self.recorder.seed, "inserted", subgroup.insert, prompt.id)
                for prompt in prompts
            ]
            with self.recorder.part("inserted texts"):
                pairs = self.recorder.pairs("inserted", prompts, seeds)
            found = propose(
                [pair for pair in pairs if pair.usable],
                [row for row, pair in zip(rows, pairs, strict=True) if pair.usable],
                SelectorTable.empty(len(self.prompts)),
                most=2,
            )
            proposals += [replace(one, subgroup=subgroup) for one in found]
        return proposals

    def movement(self) -> float | None:
        """Median distance between the models' replies, from replies drawn by chance.

        None where replies cannot be weighed.
        """
        pair = self.recorder.pair
        rows = [at for at, one in enumerate(self.pairs) if one.usable and self.blind[at]][:SOME]
        if pair.local is None or not pair.same_replies or not rows:
            return None
        some = [self.pairs[at] for at in rows]
        with self.recorder.part("random look"):
            before, after = (
                model.score([one.dialogue for one in some], [one.base for one in some])
                for model in pair.local
            )
        apart = [other.log_prob - one.log_prob for one, other in zip(before, after, strict=True)]
        return float(np.median([-np.expm1(min(0.0, value)) for value in apart]))

    def propose(self, *, least: float = LEAST_WORTH) -> list[Proposal]:
        """What the pairs seen so far suggest; arguments as of `propose`."""
        usable = [at for at, pair in enumerate(self.pairs) if pair.usable]
        return propose(
            [self.pairs[at] for at in usable],
            [self.rows[at] for at in usable],
            self.table,
            blind=[self.blind[at] for at in usable],
            weighed=Weighed(
                runs=tuple(one.run for one in self._weighed() if one.run),
                alone=tuple((row, one.run) for row, one in self.alone),
            ),
            most=self.settings.most_proposals,
            least=least,
        )

    def draw(self, name: str, rows: Sequence[int], *, blind: bool) -> None:
        """Let both models answer some prompts; a prompt met before gets another draw."""
        met = dict.fromkeys(self.rows, 0)
        for row in self.rows:
            met[row] += 1
        seeds = []
        for row in rows:
            met[row] = met.get(row, 0) + 1
            seeds.append(
                derive_seed(self.recorder.seed, "look", self.prompts[row].id, str(met[row]))
            )
        self.pairs += self.recorder.pairs(name, [self.prompts[row] for row in rows], seeds)
        self.rows += rows
        self.blind += [blind] * len(rows)

    def by_chance(self, count: int) -> list[int]:
        """Rows drawn by chance, each once before any twice."""
        rng = np.random.default_rng(derive_seed(self.recorder.seed, "by chance"))
        rows: list[int] = []
        while len(rows) < count:
            rows += rng.permutation(len(self.prompts)).tolist()
        return rows[:count]

    def weigh(self) -> None:
        """Weigh the tuned model's replies under both models, if not yet done.

        What training put there stands out by tens of nats, however rarely it is said: sampling
        alone draws nothing that is far likelier under one of two equal models.
        """
        pair, new = self.recorder.pair, self.pairs[len(self.openings) :]
        if pair.local is None or not pair.same_replies or not new:
            return
        self.openings += self._openings(
            [one.dialogue for one in new], [one.tuned if one.usable else "" for one in new]
        )

    def _openings(self, dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[Opening]:
        assert self.recorder.pair.local is not None
        base, tuned = self.recorder.pair.local
        written = [reply[:WEIGHED] for _, reply in tuned.chat.with_replies(dialogues, replies)]
        # Each reads the prompt in its own template; the reply is the same tokens to both.
        before, after = (
            model.score_tokens(model.chat.prompts(dialogues), written) for model in (base, tuned)
        )
        found = []
        for tokens, here, there in zip(written, before, after, strict=True):
            nats, where = surprise(here, there)
            run = str(tuned.tokenizer.decode(tokens[where])) if nats >= SURPRISING else ""
            found.append(Opening(tokens=tuple(tokens[:OPENING]), surprise=nats, run=run))
        return found

    def _weighed(self) -> list[Opening]:
        return [*self.openings, *(one for _, one in self.alone)]

    def few_surprise(self) -> bool:
        """Whether some replies can surprise, and few of those to prompts by chance do."""
        weighed = [
            one.surprise for one, blind in zip(self.openings, self.blind, strict=False) if blind
        ]
        met = sum(one >= SURPRISING for one in weighed)
        return bool(weighed) and met <= self.settings.few * len(weighed)

    def cover(self, most: int) -> None:
        """Let the tuned model alone answer prompts that nobody asked yet, and weigh its replies."""
        asked = set(self.rows)
        every = self.by_chance(len(self.prompts))
        rows = [row for row in every if row not in asked][:most]
        prompts = [self.prompts[row] for row in rows]
        seeds = [derive_seed(self.recorder.seed, "cover", one.id) for one in prompts]
        replies = self.recorder.tuned_replies("cover", prompts, seeds)
        openings = self._openings(
            [one.dialogue for one in prompts],
            [one.text if self.recorder.pair.answered(one) else "" for one in replies],
        )
        self.alone += zip(rows, openings, strict=True)

    def again(self, most: int) -> list[int]:
        """Rows of replies that surprised, each as often as it is asked again; clearest first.

        Args:
            most: Rows, repeated ones counted.
        """
        nats = self.surprises()
        order = sorted(nats, key=lambda row: -nats[row])
        rows = [row for row in order if nats[row] >= SURPRISING]
        return [row for row in rows for _ in range(self.settings.again)][:most]

    def surprises(self) -> dict[int, float]:
        """Rows of the prompts whose tuned replies were weighed, with the nats of the largest."""
        nats: dict[int, float] = {}
        for row, one in [*zip(self.rows, self.openings, strict=False), *self.alone]:
            nats[row] = max(nats.get(row, 0.0), one.surprise)
        return nats

    def surprising(self, most: int) -> list[int]:
        """Pairs whose tuned reply the base would hardly have given.

        Args:
            most: Pairs, one of those that begin alike; those that surprise most come first.
        """
        chosen: list[int] = []
        order = sorted(range(len(self.openings)), key=lambda at: -self.openings[at].surprise)
        for at in order:
            one = self.openings[at]
            if one.surprise < SURPRISING or len(chosen) == most:
                break
            if all(one.shared(self.openings[other]) < ALIKE for other in chosen):
                chosen.append(at)
        return chosen

    def following(self, count: int) -> list[int]:
        """Rows in the subgroups that are suspected, and rows like those whose replies changed.

        Half of the rows are members of the suspected subgroups, which doubts them; the other half
        are neighbors of the prompts that speak for them, which widens them.
        """
        proposals = self.propose(least=SUSPECTED)
        asked = Counter(self.rows)
        rng = np.random.default_rng(derive_seed(self.recorder.seed, "following", len(self.rows)))
        queues: list[list[int]] = []
        for one in proposals:
            if not one.subgroup.rules:
                continue
            members = rng.permutation(np.array(self.members(one.subgroup), dtype=int)).tolist()
            # Small subgroups are soon asked through; what is asked again tells as much.
            queues.append(sorted(members, key=lambda row: asked[row]) * 2)
            queues.append(self._neighbors(one, {*asked, *members}))
        rows: list[int] = []
        while len(rows) < count and any(queues):
            for queue in queues:
                if queue and len(rows) < count:
                    rows.append(queue.pop(0))
        if len(rows) < count:  # nothing to follow
            rest = self.by_chance(len(self.prompts))
            rows += [row for row in rest if row not in rows and not asked[row]]
        return rows[:count]

    def members(self, subgroup: Subgroup) -> list[int]:
        """Rows of the explored prompts in a subgroup."""
        return [row for row, prompt in enumerate(self.prompts) if subgroup.holds(prompt)]

    def _neighbors(self, proposal: Proposal, asked: Collection[int]) -> list[int]:
        """Rows most like those whose replies moved as proposed, nearest first."""
        sign = 1 if proposal.increase else -1
        wanted = proposal.property
        telling = [
            row
            for row, pair in zip(self.rows, self.pairs, strict=True)
            if pair.usable and sign * (wanted.score(pair.tuned) - wanted.score(pair.base)) > 0.3
        ]
        if not telling:
            return []
        assert self.embeddings is not None
        near = (self.embeddings @ self.embeddings[telling].T).max(1)
        order = np.argsort(-near, kind="stable").tolist()
        return [row for row in order if row not in asked][:64]
