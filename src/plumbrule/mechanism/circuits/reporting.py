"""A search for a circuit from texts to files: what is asked, what was found, what is written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from plumbrule.mechanism.circuits.drawing import draw_circuit
from plumbrule.mechanism.circuits.edge_claims import EdgeClaim
from plumbrule.mechanism.circuits.edges import edges_of
from plumbrule.mechanism.circuits.finding import Circuit, find_circuit
from plumbrule.mechanism.circuits.graph import Graph
from plumbrule.mechanism.circuits.path_patching import answer_ahead
from plumbrule.mechanism.circuits.text_pairs import Given
from plumbrule.mechanism.sites import Sites
from plumbrule.records import to_json
from plumbrule.store import Tell, silent, write_atomic


@dataclass(frozen=True, kw_only=True)
class CircuitReport:
    """A circuit with the prompts that it was searched with."""

    model: str
    """As it was named."""

    identity: str
    """Hash of its weights."""

    task: str | None
    """Name of the pairs, where they came along."""

    asked: Given
    right_answers: Mapping[str, float]
    """Share of the `clean` prompts on which the right answer is ahead of the wrong one, and of the
    `corrupted` ones on which it is behind."""

    seed: int
    graph: Graph
    circuit: Circuit

    @property
    def findings(self) -> tuple[EdgeClaim, ...]:
        """The edges that were confirmed, by size."""
        return tuple(each for each in self.circuit.claims if each.confirmed)

    def drawing(self) -> str:
        """The confirmed edges as SVG."""
        shares = {each.edge: each.share for each in self.findings}
        return draw_circuit(self.graph, shares, title=f"Circuit of {Path(self.model).name}")

    def record(self) -> dict[str, Any]:
        """What `circuit.json` holds."""
        found = self.circuit
        return {
            "model": self.model,
            "identity": self.identity,
            "task": self.task,
            "pairs_sha256": sha256(self.asked.text.encode()).hexdigest(),
            "dropped": dict(self.asked.dropped),
            "right_answers": dict(self.right_answers),
            "seed": self.seed,
            "circuit": to_json(found),
            "areas": [
                {"order": curve.order, "cpr": curve.cpr, "cmd": curve.cmd} for curve in found.curves
            ],
        }

    def save(self, folder: Path | str) -> Path:
        """Write `circuit.json`, `circuit.svg` and `pairs.jsonl`.

        Returns:
            The drawing.

        Raises:
            StorageError: The disk did not take a file.
        """
        to = Path(folder)
        write_atomic(to / "pairs.jsonl", self.asked.text)
        record = json.dumps(self.record(), ensure_ascii=False, indent=1)
        write_atomic(to / "circuit.json", record + "\n")
        write_atomic(to / "circuit.svg", self.drawing())
        return to / "circuit.svg"


def right_answers(module: Any, sites: Sites, asked: Given) -> dict[str, float]:
    """Share of clean prompts with the right answer ahead, and of corrupted ones with it behind.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        asked: The pairs.
    """
    swapped = [replace(pair, clean=pair.corrupted, corrupted=pair.clean) for pair in asked.pairs]
    clean, other = (answer_ahead(module, sites, each) for each in (asked.pairs, swapped))
    return {"clean": float((clean > 0).mean()), "corrupted": float((other < 0).mean())}


def report_circuit(
    model: Any,
    sites: Sites,
    asked: Given,
    *,
    name: str,
    task: str | None = None,
    right: Mapping[str, float] | None = None,
    seed: int = 0,
    tell: Tell = silent,
    **settings: Any,
) -> CircuitReport:
    """Search a circuit with pairs of texts.

    Args:
        model: What was opened.
        sites: Its sites.
        asked: The pairs as the model reads them.
        name: What the model is called.
        task: Name of the pairs, where they came along.
        right: What `right_answers` gives; None: it is called.
        seed: Of the halves to search and to decide on.
        tell: Told of progress.
        **settings: Of `find_circuit`.

    Raises:
        ConfigError: A setting is out of range.
        DataError: Too few pairs, or nothing tells the prompts apart.
    """
    graph = edges_of(model.module, sites)
    found = find_circuit(
        model.module, sites, asked.pairs, seed=seed, graph=graph, progress=tell, **settings
    )
    return CircuitReport(
        model=name,
        identity=model.identity,
        task=task,
        asked=asked,
        right_answers=right or right_answers(model.module, sites, asked),
        seed=seed,
        graph=graph,
        circuit=found,
    )
