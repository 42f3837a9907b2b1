"""What a comparison came to: what was looked at, what was tested, what was confirmed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plumbrule.behavior.certifying import Certificate
from plumbrule.behavior.gathering import Proposal
from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.noise import Noise
from plumbrule.behavior.pair import Draft, PairedReply, Spent, unlike
from plumbrule.behavior.pool import Pool
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.validation import HypothesisVerdict, ScoredPair
from plumbrule.records import Dialogue, Prompt

if TYPE_CHECKING:
    from plumbrule.behavior.lineage import Lineage
    from plumbrule.behavior.localization import Localization


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was looked at before hypotheses were fixed."""

    prompts: Sequence[Prompt]
    """All prompts that might be looked at; `rows` counts these."""

    rows: tuple[int, ...]
    """The prompt of each pair."""

    pairs: tuple[PairedReply, ...]
    blind: tuple[bool, ...]
    """Whether each pair's prompt was drawn by chance."""

    surprises: Mapping[int, float]
    """By row of each prompt that the tuned model answered: the nats by which a run of its reply is
    likelier under it than under the base, of several replies the most; none where replies were not
    weighed."""

    surprising: tuple[tuple[PairedReply, float], ...]
    """Pairs whose tuned reply the base would hardly have given, with the nats by which a run of it
    is likelier under the tuned model; one of those that begin alike."""

    proposals: tuple[Proposal, ...]
    hypotheses: tuple[Hypothesis, ...]

    @property
    def by_chance(self) -> tuple[PairedReply, ...]:
        """The pairs on prompts that were drawn by chance."""
        return tuple(pair for pair, drawn in zip(self.pairs, self.blind, strict=True) if drawn)

    def apart(self) -> dict[int, float]:
        """How unlike the two replies to each prompt are, from 0 to 1, by row."""
        found: dict[int, list[float]] = {}
        for row, pair in zip(self.rows, self.pairs, strict=True):
            if pair.usable:
                found.setdefault(row, []).append(unlike(pair.base, pair.tuned))
        return {row: sum(each) / len(each) for row, each in found.items()}

    def furthest(self, most: int = 40) -> tuple[tuple[Dialogue, float], ...]:
        """Prompts on which the models part most, with how far in nats; none where not known."""
        order = sorted(self.surprises, key=lambda row: (-self.surprises[row], row))[:most]
        return tuple((self.prompts[row].dialogue, self.surprises[row]) for row in order)

    def telling(self) -> tuple[PairedReply, ...]:
        """Pairs of which the replies differ, those that show a proposal first."""

        def shows(pair: PairedReply) -> float:
            return sum(
                abs(one.property.score(pair.tuned) - one.property.score(pair.base))
                for one in self.proposals
            )

        differing = [pair for pair in self.pairs if pair.usable and pair.base != pair.tuned]
        return tuple(sorted(differing, key=lambda pair: -shows(pair)))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that a comparison found, before it is written down."""

    settings: CompareSettings
    pool: Pool
    verdicts: Sequence[HypothesisVerdict]
    """Of all hypotheses tested, confirmed or not."""

    trials: Sequence[ScoredPair]
    certificate: Certificate
    drafts: Sequence[Draft]
    """Replies behind the certificate."""

    lineage: "Lineage | None"
    noise: Noise | None
    looked: Looked | None
    """None where both models are the same."""

    notes: Mapping[str, str]
    """What a part of the work has to say of itself, by its name."""

    localizations: Mapping[str, "Localization"]
    """By hypothesis: which layers carry the change."""

    unlocalized: Mapping[str, str]
    """By hypothesis: why no layer can be named."""

    costs: Mapping[str, Spent]
    texts: int
    identical: bool

    @property
    def looked_at(self) -> int:
        """Prompts whose replies were looked at before hypotheses were fixed."""
        if self.looked is not None:
            return len({*self.looked.rows})
        return 0 if self.identical else len(self.pool.explore)

    @property
    def named(self) -> frozenset[str]:
        """Ids of the test prompts that a finding speaks of."""
        return frozenset(
            prompt.id
            for prompt in self.pool.confirm
            if any(
                not each.hypothesis.subgroup.insert and each.hypothesis.subgroup.holds(prompt)
                for each in self.findings
            )
        )

    def members(self, hypothesis: Hypothesis) -> frozenset[str]:
        """Ids of all prompts of the pool that a hypothesis speaks of."""
        return frozenset(
            prompt.id
            for prompt in (*self.pool.explore, *self.pool.confirm)
            if hypothesis.subgroup.holds(prompt)
        )

    @property
    def findings(self) -> list[HypothesisVerdict]:
        """The hypotheses that stand, the largest effect first."""
        stand = [each for each in self.verdicts if each.confirmed]
        return sorted(stand, key=lambda each: -abs(each.estimate.value if each.estimate else 0.0))
