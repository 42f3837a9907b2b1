"""A tool that reports what in a text speaks to its reviewer, without weighing anything."""

from dataclasses import dataclass

from plumbrule.oversight.cases import Case
from plumbrule.oversight.hostile import addressed
from plumbrule.oversight.records import FREE, Cost, Kind, Opinion


@dataclass(frozen=True, kw_only=True)
class InstructionWatch:
    """Finds sentences that give the reviewer instructions.

    Ask it in a part that is not required: then what it finds stands in the report and moves
    nothing, neither for the work nor against it.
    """

    name: str = "instructions"
    version: str = "1"
    kind: Kind = "tool"
    most: Cost = FREE

    def check(self, case: Case) -> Opinion:
        """`uncertain` with each such sentence as evidence, `pass` where there is none."""
        found = addressed(case)
        if not found:
            return Opinion(verdict="pass", rationale="No sentence speaks to the reviewer.")
        return Opinion(
            verdict="uncertain",
            rationale=f"{len(found)} sentences speak to the reviewer; models are not shown them.",
            evidence=tuple(found),
        )
