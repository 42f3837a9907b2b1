"""The folder of a run: held by one process, bound to one configuration, honest about its costs."""

import json
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import yaml

from plumbrule.errors import DataError, OutputError
from plumbrule.folders import held_folder
from plumbrule.ledger import Ledger
from plumbrule.loop.config import RunConfig, deciding, to_mapping
from plumbrule.models import LanguageModel, Usage
from plumbrule.store import Fan, Shards, Tell, fingerprint, one_after_another, silent

Item = TypeVar("Item")
Result = TypeVar("Result")

CODE_VERSION = 3
"""Raised whenever the same inputs would give other records."""


@dataclass(kw_only=True)
class StageCost(Usage):
    """What a stage took."""

    seconds: float = 0.0
    items: int = 0
    retries: int = 0
    """Shards done again because who did them was lost."""


@runtime_checkable
class Staging(Protocol):
    """What keeps the records of stages: a run under way, or one that has ended."""

    @property
    def config(self) -> RunConfig:
        """The run's configuration."""

    def stage(
        self,
        name: str,
        items: Sequence[Item],
        work: Callable[[Sequence[Item], int], Sequence[Result]],
        *,
        kind: type[Result],
        inputs: Mapping[str, Any],
        models: Sequence[LanguageModel] = (),
    ) -> list[Result]:
        """Records of a stage, see `RunWorkspace.stage`."""


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run that has ended: its stages are read again and nothing is done or written.

    A stage is found only by all that decides it, so what is read is what the same work would give.
    """

    folder: Path
    config: RunConfig

    def stage(
        self,
        name: str,
        items: Sequence[Item],
        work: Callable[[Sequence[Item], int], Sequence[Result]],
        *,
        kind: type[Result],
        inputs: Mapping[str, Any],
        models: Sequence[LanguageModel] = (),
    ) -> list[Result]:
        """Read a stage.

        Raises:
            DataError: The run has no such records.
        """
        del work, models

        def missing(items: Sequence[Item], seed: int) -> Sequence[Result]:
            raise DataError(
                f"expected the records of stage {name} in {self.folder}, and they are not there as "
                "this version would make them: the run was made by another version, or its models "
                "have changed since. Give its command again to bring it up to date, then this one."
            )

        shards = Shards(
            self.folder / "stages" / name, {"code": CODE_VERSION, "stage": name, **inputs}
        )
        return shards.map(
            items, missing, kind=kind, size=self.config.shard_size, seed=self.config.seed
        )


@dataclass(kw_only=True)
class RunWorkspace:
    """An open run folder."""

    folder: Path
    config: RunConfig
    identity: str
    """Hash of the configuration and of all that it names: prompts, constitution, models."""

    ledger: Ledger
    tell: Tell = silent
    fan: Fan = one_after_another
    """Who does the shards of stages."""

    costs: dict[str, StageCost] = field(default_factory=dict)

    def stage(
        self,
        name: str,
        items: Sequence[Item],
        work: Callable[[Sequence[Item], int], Sequence[Result]],
        *,
        kind: type[Result],
        inputs: Mapping[str, Any],
        models: Sequence[LanguageModel] = (),
    ) -> list[Result]:
        """Run one stage in shards, account for it, and enter it into the ledger.

        Args:
            name: Folder of the stage within the run, such as `draft`.
            items: What it works on.
            work: Takes one shard's items and its seed.
            kind: Class of the records that come out.
            inputs: What decides the records besides the items.
            models: Whose usage counts as the stage's cost.
        """
        shards = Shards(
            self.folder / "stages" / name, {"code": CODE_VERSION, "stage": name, **inputs}
        )
        self.tell(name, 0, len(items))
        records = shards.map(
            items,
            work,
            kind=kind,
            size=self.config.shard_size,
            seed=self.config.seed,
            progress=lambda done, total: self.tell(name, done, total),
            meter=lambda: _meter(models),
            fan=self.fan,
        )
        spent = shards.spent()
        self.account(name, items=len(items), **spent)
        self.ledger.record(
            f"stage/{name}",
            "stage",
            {
                "stage": name,
                "inputs": {"code": CODE_VERSION, **inputs},
                "items": len(items),
                "records": len(records),
                "files": {
                    path.name: fingerprint(path.read_text(encoding="utf-8"))
                    for path in sorted(shards.folder.glob("*.jsonl"))
                },
            },
        )
        return records

    def account(self, name: str, *, items: int, **spent: float) -> None:
        """Note what a stage took."""
        cost = StageCost(items=items)
        for key, value in spent.items():
            setattr(cost, key, value if key in ("seconds", "dollars") else int(value))
        self.costs[name] = cost


def _meter(models: Sequence[LanguageModel]) -> dict[str, float]:
    distinct = {id(model): model.usage for model in models}.values()
    return {
        each.name: sum(getattr(usage, each.name) for usage in distinct) for each in fields(Usage)
    }


@contextmanager
def open_workspace(
    folder: Path,
    config: RunConfig,
    *,
    named: Mapping[str, str],
    tell: Tell = silent,
    fan: Fan = one_after_another,
) -> Iterator[RunWorkspace]:
    """Open a run's folder, new or to go on with.

    Args:
        folder: Where the run lives.
        config: The run's configuration.
        named: Hashes of what the configuration names: prompts, constitution, models.
        tell: Told of progress.
        fan: Who does the shards of stages.

    Raises:
        OutputError: The folder holds another run, or the same one under another version of its
            constitution, or something else, or another process is in it.
        StorageError: The disk refuses the folder.
    """
    _refuse_amended(folder, config, named)
    ours = {"config": deciding(config), "named": dict(named)}
    with (
        held_folder(folder, marker="run.json", ours=ours, configuration=config_text(config, named)),
        Ledger.open(folder / "ledger.db") as ledger,
    ):
        ledger.record("run/begin", "run", ours)
        yield RunWorkspace(
            folder=folder,
            config=config,
            identity=fingerprint([ours["config"], ours["named"]]),
            ledger=ledger,
            tell=tell,
            fan=fan,
        )


def _refuse_amended(folder: Path, config: RunConfig, named: Mapping[str, str]) -> None:
    """Say what to do where the constitution was changed since a run began.

    Raises:
        OutputError: It was.
    """
    try:
        bound = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        theirs, same = bound["named"]["constitution"], bound["config"] == deciding(config)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # whoever opens the folder says what is wrong with it
    if same and theirs != named.get("constitution"):
        raise OutputError(
            f"expected the constitution that {folder} was begun with ({str(theirs)[:12]}), got one "
            f"that was changed since ({named.get('constitution', '')[:12]}): a run keeps one from "
            f"its first label to its last. Put back the old text, which is kept in "
            f"{folder / 'constitution.yaml'}, and give the same command to finish the run; then "
            f"`plumbrule amend {folder} --constitution CHANGED.yaml --out DIR` asks again only "
            "what the change touches. Or choose another --out to begin anew."
        )


def config_text(config: RunConfig, named: Mapping[str, str]) -> str:
    """The complete configuration as YAML that `plumbrule run --recipe` takes back."""
    from importlib.metadata import version

    packages = ("plumbrule", "torch", "transformers", "trl", "peft", "tokenizers", "numpy")
    lines = [
        "# Complete configuration of this run; give it to `plumbrule run --recipe` to repeat it.",
        f"# SHA-256 of the configuration: {fingerprint(to_mapping(config))}",
        *[f"# {name}: {digest}" for name, digest in sorted(named.items())],
        *[f"# {name} {version(name)}" for name in packages],
    ]
    return "\n".join(lines) + "\n" + yaml.safe_dump(to_mapping(config), sort_keys=False)


def peak_rss_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
