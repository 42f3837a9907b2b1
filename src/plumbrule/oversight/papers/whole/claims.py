"""The ledger of claims: each new claim is compared with those before it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from plumbrule.oversight.papers.document import Flaw, Paper, Severity
from plumbrule.oversight.papers.whole.places import Place


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one sentence says of one property of the study."""

    what: str
    """The property, such as `assignment`."""

    value: Any
    """What it is said to be."""

    place: Place
    says: str
    """The value in words for a message."""


Clash = Callable[[Claim, Claim], str | None]
"""Why two claims on one property cannot both hold; None where they can."""


@dataclass
class Ledger:
    """Claims so far, and the first clash on each property."""

    paper: Paper
    kind: str
    clash: Clash
    severity: Severity = "high"
    claims: list[Claim] = field(default_factory=list)
    flaws: dict[str, Flaw] = field(default_factory=dict)
    _different: dict[str, dict[Any, Claim]] = field(default_factory=lambda: defaultdict(dict))

    def read(self, claims: Iterable[Claim]) -> "Ledger":
        """Compare each claim with all before it, then enter it.

        Of claims that say the same in one section only the first is compared, so that the time
        grows with the number of claims and not with its square.
        """
        for claim in claims:
            self.claims.append(claim)
            sort = (claim.value, claim.place.study, claim.place.section_start)
            known = self._different[claim.what]
            if claim.what in self.flaws or sort in known:
                continue
            for before in known.values():
                reason = self._reason(before, claim)
                if reason is not None:
                    self.flaws[claim.what] = conflict(
                        self.paper, self.kind, reason, [before.place, claim.place], self.severity
                    )
                    break
            known[sort] = claim
        return self

    def _reason(self, before: Claim, claim: Claim) -> str | None:
        return self.clash(before, claim) if comparable(before.place, claim.place) else None


def comparable(first: Place, second: Place) -> bool:
    """Whether two sentences can speak of one study and stand in different sections.

    Sentences of one section explain each other, and who checks that section sees them together.
    """
    return first.study == second.study and first.section_start != second.section_start


def conflict(
    paper: Paper, kind: str, reason: str, places: Sequence[Place], severity: Severity = "high"
) -> Flaw:
    """A flaw with each place quoted once, in the order of the text."""
    spans = sorted({(each.start, each.end) for each in places})
    return Flaw(
        kind=kind,
        severity=severity,
        message=reason,
        evidence=tuple(paper.evidence(start, end) for start, end in spans),
    )
