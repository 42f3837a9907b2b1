"""What one finished folder recorded: a run, a comparison, a review; read and not yet believed.

The same is read from a run's own folder, to export it, and from the copy within evidence, to verify
that: whatever is claimed of the first can be made again from the second.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from plumbrule.constitution import Constitution, load_constitution
from plumbrule.errors import DataError, PlumbruleError, brief
from plumbrule.ledger import LedgerEntry, LedgerHead, read_entries
from plumbrule.ledger.chain import GENESIS
from plumbrule.ledger.files import KIND
from plumbrule.loop import RunConfig, make_config
from plumbrule.records import Prompt, read_jsonl
from plumbrule.store import read_shard

Record = TypeVar("Record")

UNREADABLE = (
    PlumbruleError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError,
    RecursionError, AssertionError,
)  # fmt: skip
"""What reading a record may raise, since whoever edits one may write anything there."""


def why(error: BaseException) -> str:
    """What is wrong with a record that could not be read, in a few words."""
    return brief(error) if isinstance(error, PlumbruleError) else type(error).__name__


Kind = Literal["run", "comparison", "review", "other"]
"""What a folder is, by the file that a verb leaves there."""

WEIGHTS = ("models",)
"""Folders of a run whose files are models: known by their hashes, and copied only when asked."""

KEPT = "result.json"
"""File beside a model that says how its training went, which is a record and goes along."""


@dataclass(frozen=True)
class RunRecord:
    """The records of one folder."""

    folder: Path

    name: str
    """What the evidence calls it."""

    @cached_property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """Its ledger's entries.

        Raises:
            DataError: There is no ledger that can be read.
        """
        return read_entries(self.folder / "ledger.db")

    @cached_property
    def kind(self) -> Kind:
        """What it is."""
        if (self.folder / "review.json").is_file():
            return "review"
        if (self.folder / "compare.json").is_file():
            return "comparison"
        if (self.folder / "run.json").is_file() and self.entry("run/end") is not None:
            return "run"
        return "other"

    @property
    def head(self) -> LedgerHead:
        """Where its ledger ends."""
        last = self.entries[-1] if self.entries else None
        return LedgerHead(entries=len(self.entries), hash=last.hash if last else GENESIS)

    @cached_property
    def files(self) -> Mapping[str, str]:
        """SHA-256 of every file it ended with, as its ledger has it; empty where nothing was."""
        found: Mapping[str, str] = {}
        for each in self.entries:
            if each.kind == KIND and isinstance(each.payload.get("files"), dict):
                found = each.payload["files"]
        return found

    def entry(self, key: str) -> LedgerEntry | None:
        """An entry by its key; None where there is none."""
        return next((each for each in self.entries if each.key == key), None)

    @cached_property
    def begun(self) -> Mapping[str, Any]:
        """What it was bound to when it began: `config` or `settings`, and `named`."""
        first = self.entry("run/begin") or self.entry("compare/begin")
        return {} if first is None else first.payload

    @property
    def named(self) -> Mapping[str, str]:
        """Hashes of what it was begun with: constitution, prompts, models."""
        named = self.begun.get("named")
        return named if isinstance(named, dict) else {}

    @cached_property
    def config(self) -> RunConfig:
        """The configuration of a run, as the ledger has it.

        Raises:
            DataError: It is none that this version knows.
        """
        # Where nothing is said of a filter there was none: off is not written down.
        fields = {"revision_filter": None, **self.begun.get("config", {})}
        return make_config(fields, f"the configuration of {self.name}")

    @cached_property
    def constitution(self) -> Constitution | None:
        """What it was trained on; None where the folder holds none."""
        path = self.folder / "constitution.yaml"
        return load_constitution(path) if path.is_file() else None

    @cached_property
    def prompts(self) -> Sequence[Prompt] | None:
        """All its prompts; None where the folder holds none, as of an earlier version."""
        path = self.folder / "prompts.jsonl"
        return read_jsonl(Prompt, path) if path.is_file() else None

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """What `report.json` holds; empty where there is none."""
        return self.json("report/report.json")

    def json(self, name: str) -> Mapping[str, Any]:
        """A file of JSON; empty where there is none.

        Raises:
            DataError: It is no JSON object.
        """
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.name}/{name} is no JSON that can be read") from error
        if not isinstance(value, dict):
            raise DataError(f"{self.name}/{name} must hold a JSON object, it holds something else")
        return value

    @property
    def stages(self) -> Mapping[str, LedgerEntry]:
        """Entries of finished stages, by the stage's name, in the order of finishing."""
        return {
            str(each.payload["stage"]): each
            for each in self.entries
            if each.kind == "stage" and isinstance(each.payload.get("stage"), str)
        }

    @property
    def trainings(self) -> Mapping[str, LedgerEntry]:
        """Entries of trainings, by the name of the stage, in the order of finishing."""
        return {
            str(each.payload["stage"]): each
            for each in self.entries
            if each.kind == "training" and isinstance(each.payload.get("stage"), str)
        }

    def stage(self, name: str, kind: type[Record]) -> list[Record]:
        """The records of a stage, in the order of its items.

        Raises:
            DataError: A shard is not what was written, or two hold the same items.
        """
        return [record for path in self._shards(name) for record in read_shard(path, kind)]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The same as plain values, whatever they are records of; seals are not looked at."""
        return [
            json.loads(line)
            for path in self._shards(name)
            for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")[:-1]
        ]

    def _shards(self, name: str) -> list[Path]:
        shards = sorted(self.stages[name].payload["files"])
        starts = [each.split("-")[0] for each in shards]
        if len(set(starts)) < len(starts):
            raise DataError(
                f"stage {name} of {self.name} has records of earlier settings beside its own, and "
                "nothing says which of them counted"
            )
        return [self.folder / "stages" / name / shard for shard in shards]

    def model(self, name: str) -> dict[str, str]:
        """SHA-256 of each file of a model that the run made, as the ledger has it.

        Args:
            name: Of its folder, such as `models/final`.
        """
        return {
            path.removeprefix(f"{name}/"): digest
            for path, digest in self.files.items()
            if path.startswith(f"{name}/")
        }

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """The models it made, by their folders."""
        folders = sorted({"/".join(path.split("/")[:2]) for path in self.files if is_weight(path)})
        return {folder: self.model(folder) for folder in folders}


def is_weight(path: str) -> bool:
    """Whether a file of a run is part of a model and no record.

    Example:
        >>> is_weight("models/final/model.safetensors"), is_weight("models/final/result.json")
        (True, False)
    """
    parts = path.split("/", 2)
    return len(parts) == 3 and parts[0] in WEIGHTS and parts[2] != KEPT
