"""What the tool's verbs give back in Python: each knows its findings, saves itself, shows itself.

All have `findings`, `summary` and `to_dataframe`, and show themselves in a notebook; what was
kept in memory is written by `save`.
"""

import html
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.behavior import Comparison
from plumbrule.behavior.validation import HypothesisVerdict
from plumbrule.errors import OutputError
from plumbrule.ledger import Ledger, record_files
from plumbrule.mechanism import Circuit, CircuitReport, EdgeClaim
from plumbrule.report import write_page, write_review_page

if TYPE_CHECKING:
    import pandas as pd

    from plumbrule.compliance import ComplianceResult, PrincipleCompliance
    from plumbrule.compliance.attacks import Hole, RedTeamResult
    from plumbrule.loop.reviewing import PaperReview


class Drawing(str):
    """SVG as text, which shows itself in a notebook."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass(frozen=True, kw_only=True)
class FoundCircuit:
    """A circuit, with the prompts that it was searched with."""

    report: CircuitReport

    @property
    def circuit(self) -> Circuit:
        """Edges, claims, faithfulness and guarantee; see `plumbrule.mechanism.Circuit`."""
        return self.report.circuit

    @property
    def findings(self) -> Sequence[EdgeClaim]:
        """The edges that were confirmed, the largest first."""
        return self.report.findings

    @property
    def summary(self) -> list[str]:
        """What a reader must know first, in sentences."""
        found, right = self.circuit, self.report.right_answers
        lines = [
            f"{len(self.findings)} of {found.scanned} edges confirmed on {found.held_out} held-out "
            f"pairs; at most {found.guarantee.level:.0%} of them false, in expectation.",
            f"The right answer is ahead on {right['clean']:.0%} of the clean prompts, and behind "
            f"on {right['corrupted']:.0%} of the corrupted ones.",
        ]
        if found.faithfulness is None:
            return [*lines, f"No faithfulness: {found.reason}"]
        kept = f"Faithfulness {found.faithfulness:.3f} with {len(found.edges)} edges kept."
        return [*lines, kept]

    @property
    def drawing(self) -> Drawing:
        """The confirmed edges, drawn."""
        return Drawing(self.report.drawing())

    def save(self, folder: Path | str) -> Path:
        """Write `circuit.json`, `circuit.svg` and `pairs.jsonl`.

        Returns:
            The drawing.
        """
        return self.report.save(folder)

    def to_dataframe(self) -> "pd.DataFrame":
        """A row for each edge that was patched, those confirmed first and then by size."""
        import pandas as pd

        kept = set(self.circuit.edges)
        rows = [
            {
                "confirmed": each.confirmed,
                "edge": str(each.edge),
                "share": each.share,
                "matters_in": each.matters.value,
                "kept": each.edge in kept,
            }
            for each in self.circuit.claims
        ]
        columns = ("confirmed", "edge", "share", "matters_in", "kept")
        return pd.DataFrame(rows, columns=columns)

    def _repr_html_(self) -> str:
        return _paragraphs("Circuit", self.summary) + self.drawing


@dataclass(frozen=True, kw_only=True)
class _Reported:
    """What the results of verbs that write a report share."""

    content: Mapping[str, Any]
    """What `report.json` holds."""

    @property
    def summary(self) -> list[str]:
        """What a reader must know first, in sentences."""
        return list(self.content["summary"])

    def _repr_html_(self) -> str:
        return _paragraphs(self.content["title"], self.summary)

    def _save(self, kind: str, folder: Path | str) -> Path:
        write_page(kind, dict(self.content), Path(folder) / "report")
        return Path(folder) / "report" / "index.html"


@dataclass(frozen=True, kw_only=True)
class Compared(_Reported):
    """What a comparison found."""

    comparison: Comparison

    @property
    def findings(self) -> Sequence[HypothesisVerdict]:
        """The confirmed changes, the largest first."""
        return self.comparison.findings

    def save(self, folder: Path | str) -> Path:
        """Write the report: a page, and the same as data.

        A comparison that was made with `out` has kept its samples there as well, from which
        `plumbrule compare --verify` makes every decision again.

        Returns:
            The page.
        """
        page = self._save("comparison", folder)
        if (Path(folder) / "ledger.db").exists():
            with Ledger.open(Path(folder) / "ledger.db") as ledger:
                record_files(ledger, Path(folder))
        return page

    def to_dataframe(self) -> "pd.DataFrame":
        """Every hypothesis that was tested, a row each, those confirmed first."""
        import pandas as pd

        rows = [
            {
                "confirmed": confirmed,
                "said": each.get("said", each["claim"]),
                "where": each["where"],
                "what": each["what"],
                **{
                    name: each["estimate"][key] if each["estimate"] else None
                    for name, key in (("change", "value"), ("low", "low"), ("high", "high"))
                },
                "e_value": each["e_value"],
                "pairs": each["pairs"],
                "why_not": each.get("why"),
            }
            for confirmed, part in ((True, "findings"), (False, "not_confirmed"))
            for each in self.content[part]
        ]
        columns = ("confirmed", "said", "where", "what", "change", "low", "high", "e_value")
        return pd.DataFrame(rows, columns=[*columns, "pairs", "why_not"])


@dataclass(frozen=True, kw_only=True)
class Aligned(_Reported):
    """What a run ended with."""

    model: Path
    """The trained model."""

    report: Path
    """Its report."""

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """Confirmed changes between the model before and after."""
        return list(self.content["findings"])

    @property
    def gates_passed(self) -> bool:
        """Whether every gate held."""
        return bool(self.content["gates_passed"])

    def to_dataframe(self) -> "pd.DataFrame":
        """Violation rates by principle and stage, a row each."""
        import pandas as pd

        rows = []
        for principle in self.content["principles"]:
            for stage in ("before", "supervised", "final"):
                for source, rate in principle.get(stage, {}).get("violation_rate", {}).items():
                    if rate is not None:
                        rows.append(
                            {
                                "principle": principle["id"],
                                "stage": stage,
                                "source": source,
                                **{key: rate[key] for key in ("value", "low", "high", "n")},
                            }
                        )
        columns = ("principle", "stage", "source", "value", "low", "high", "n")
        return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True, kw_only=True)
class Complied(_Reported):
    """What an examination for compliance found."""

    result: "ComplianceResult"
    """Every principle with its rate, its interval and the replies that break it."""

    @property
    def findings(self) -> "list[PrincipleCompliance]":
        """Principles that are broken, or whose twins are refused, more often than allowed."""
        return self.result.findings

    def save(self, folder: Path | str) -> Path:
        """Write the report: a page, and the same as data.

        Returns:
            The page.
        """
        return self._save("compliance", folder)

    def to_dataframe(self) -> "pd.DataFrame":
        """A row for each principle and for its twins: the rate, its interval, the bound."""
        import pandas as pd

        rows = []
        for each in self.result.principles:
            for what, side in (("broken", each.broken), ("refused", each.refused)):
                if side is not None:
                    found = side.estimate
                    ends = {key: getattr(found, key, None) for key in ("value", "low", "high", "n")}
                    rows.append(
                        {
                            "principle": each.id,
                            "what": what,
                            **ends,
                            "bound": side.bound,
                            "confirmed": side.confirmed,
                        }
                    )
        columns = ("principle", "what", "value", "low", "high", "n", "bound", "confirmed")
        return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True, kw_only=True)
class Attacked(_Reported):
    """What a red team found."""

    result: "RedTeamResult"
    """Every attack with its verdict, the holes, and rates by family and by principle."""

    @property
    def findings(self) -> "list[Hole]":
        """The holes: a principle and a family of attacks that it gives way to, each once."""
        return list(self.result.holes)

    def save(self, folder: Path | str) -> Path:
        """Write the report: a page, and the same as data.

        Returns:
            The page.
        """
        return self._save("red_team", folder)

    def to_dataframe(self) -> "pd.DataFrame":
        """A row for each attack."""
        import pandas as pd

        rows = [
            {
                "principle": each.attack.principle_id,
                "family": each.attack.family,
                "origin": each.attack.origin,
                "even": each.even,
                "verdict": each.verdict,
                "request": each.exchange.dialogue[-1].content,
                "reply": each.exchange.response,
            }
            for each in self.result.outcomes
        ]
        columns = ("principle", "family", "origin", "even", "verdict", "request", "reply")
        return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """The result of a review of a paper."""

    done: "PaperReview"
    """The tree of checks with its verdict, and the paper as it was read."""

    folder: Path
    """Where the trail is."""

    @property
    def content(self) -> Mapping[str, Any]:
        """What `report.json` holds."""
        return self.done.content

    @property
    def outcome(self) -> str:
        """`pass`, `fail` or `uncertain`; a pass needs every question looked at."""
        return self.done.review.verdict.outcome

    @property
    def closed_because(self) -> tuple[str, ...]:
        """Reasons not to let the paper through; empty where the command would exit with 0."""
        from plumbrule.oversight.papers import closed_because

        return closed_because(self.done.review)

    @property
    def summary(self) -> list[str]:
        """What a reader must know first, in sentences."""
        name, open_ = self.done.material.paper.name, self.done.review.verdict.uncovered
        lines = [f"{name}: {self.outcome}, {len(self.findings)} findings."]
        lines += [f"Nobody looked at {', '.join(open_)}."] if open_ else []
        return lines + list(self.closed_because)

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """What was found, the surest first: `rank`, `kind`, `message`, and `quotes` with places."""
        return list(self.content["findings"])

    @property
    def not_checked(self) -> list[Mapping[str, Any]]:
        """What nobody looked at, each with the `reason`."""
        return list(self.content["not_checked"])

    def save(self, folder: Path | str) -> Path:
        """Write the whole review: its page, and the trail that `plumbrule review --verify` checks.

        Args:
            folder: A new or empty one, or the one that the review was made in.

        Returns:
            The page.

        Raises:
            OutputError: The folder holds something else.
        """
        to = Path(folder)
        if to.resolve() != self.folder.resolve():
            if to.exists() and (not to.is_dir() or any(to.iterdir())):
                raise OutputError(f"expected a new folder, {to} holds something; choose another")
            shutil.copytree(self.folder, to, dirs_exist_ok=True)
        return write_review_page(to)

    def to_dataframe(self) -> "pd.DataFrame":
        """A row for each finding, the surest first; `quote` and `place` are of its first words."""
        import pandas as pd

        rows = []
        for each in self.findings:
            first = each["quotes"][0] if each["quotes"] else {}
            named = {key: each[key] for key in ("rank", "task_id", "specialist", "kind", "message")}
            rows.append({**named, "quote": first.get("text"), "place": first.get("place")})
        columns = ["rank", "task_id", "specialist", "kind", "message", "quote", "place"]
        return pd.DataFrame(rows, columns=columns)

    def _repr_html_(self) -> str:
        lines = [f"{each['rank']}: {each['message']}" for each in self.findings[:20]]
        return _paragraphs(f"Review: {self.outcome}", [*self.summary, *lines])


def _paragraphs(title: str, lines: Sequence[str]) -> str:
    """A title and sentences as HTML; texts of models stay text."""
    said = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return f"<h3>{html.escape(title)}</h3>{said}"
