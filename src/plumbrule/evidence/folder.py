"""An evidence folder on disk: its index, and what is read of it once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.evidence.deriving import Rederivation, rederive
from plumbrule.evidence.links import Link, links
from plumbrule.evidence.records import RunRecord
from plumbrule.evidence.trainings import Identities

INDEX = "evidence.json"
FOLDER = "folder.dsse.json"
"""The statement that names every other file."""

IDENTITIES = "identities.json"

SCHEMA = 1
"""Form of the folder; raised whenever an older version could not read it."""


@dataclass(frozen=True)
class Evidence:
    """An evidence folder as it is on disk; nothing of it is believed yet."""

    folder: Path
    index: Mapping[str, Any]
    """What `evidence.json` holds."""

    @cached_property
    def records(self) -> tuple[RunRecord, ...]:
        """The folders in it, by name."""
        return tuple(RunRecord(self.folder / "runs" / name, name) for name in self.index["runs"])

    @cached_property
    def identities(self) -> Identities:
        """What models' identities are made of."""
        found = RunRecord(self.folder, "evidence").json(IDENTITIES)
        for each in found.values():
            if not isinstance(each, dict) or not {"parts", "files"} <= each.keys():
                raise DataError(f"{IDENTITIES} holds something else than identities of models")
        return found

    @cached_property
    def links(self) -> list[Link]:
        """The chain."""
        return links(self.records, self.identities)

    @cached_property
    def rederived(self) -> list[Rederivation]:
        """Decisions made again, a folder each."""
        return [rederive(record) for record in self.records]
