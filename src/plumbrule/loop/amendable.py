"""A finished run, opened to amend its constitution, and how an amendment is learned."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plumbrule.constitution import Constitution, load_constitution
from plumbrule.errors import ConstitutionError, DataError, OutputError
from plumbrule.folders import locked
from plumbrule.ledger import read_entries
from plumbrule.loop.align import CONSTITUTION
from plumbrule.loop.config import RunConfig, read_config
from plumbrule.loop.verifying import verify_files
from plumbrule.records import check_ranges, strict


@strict
@dataclass(frozen=True, kw_only=True)
class Amending:
    """How an amendment is learned and tested."""

    epochs: int = 1
    """Passes over what was mended and preferred anew."""

    replay: float = 15.0
    """The model's own replies that needed no mending, for each one that was mended: they hold what
    it does elsewhere. In the village 3 were too few: help was lost."""

    margin: float = 0.05
    """Rise of the share of replies that break another principle, that is borne."""

    def __post_init__(self) -> None:
        check_ranges(self, epochs=(1, 10**5), replay=(0, 10**6), margin=(0, 1))


AS_USUAL = Amending()
"""How `plumbrule amend` does it where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class AmendableRun:
    """A finished run, opened to amend its constitution."""

    folder: Path
    config: RunConfig
    constitution: Constitution
    """What it was trained on."""

    named: Mapping[str, str]
    """Hashes of what its configuration names."""


def open_finished(folder: Path, *, before: Path | str | None = None) -> AmendableRun:
    """Open a finished run, to amend its constitution.

    Args:
        folder: The run's.
        before: The constitution it was trained on, where its folder does not hold it.

    Raises:
        OutputError: A process is at work in it, or it has not ended.
        DataError: Its files are not what its ledger recorded.
        ConstitutionError: What it was trained on is not at hand.
    """
    if not (folder / "run.json").is_file():
        raise OutputError(
            f"expected the folder of a run that has ended, {folder} holds no run.json; give the "
            "--out of `plumbrule run`"
        )
    with locked(
        folder / "run.lock",
        busy=f"a run is going on in {folder}: its constitution cannot be amended under it. Wait "
        "until it has ended, then give the same command",
    ):
        try:
            bound = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            named = {str(name): str(each) for name, each in bound["named"].items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise OutputError(
                f"{folder / 'run.json'} is damaged, so nobody can tell what {folder} holds"
            ) from error
        if not any(
            entry.kind == "run" and "gates_passed" in entry.payload
            for entry in read_entries(folder / "ledger.db")
        ):
            raise OutputError(
                f"expected a run that has ended, the one in {folder} has not: a constitution is "
                "amended between runs, not under one. Finish it first: `plumbrule run --recipe "
                f"{folder / 'config.yaml'} --out {folder}`, with the constitution it was begun "
                f"with ({folder / CONSTITUTION}); then give this command again"
            )
    problems, _ = verify_files(folder)
    if problems:
        raise DataError(
            f"expected the files that {folder} was left with, {len(problems)} are not: "
            f"{'; '.join(problems[:3])}. Labels are taken over only from what was recorded; "
            f"`plumbrule ledger verify {folder}` lists all"
        )
    config = read_config(folder / "config.yaml", {})
    return AmendableRun(
        folder=folder,
        config=config,
        constitution=_trained_on(folder, config, named["constitution"], before),
        named=named,
    )


def _trained_on(
    folder: Path, config: RunConfig, sha256: str, before: Path | str | None
) -> Constitution:
    places: list[Path | str] = [folder / CONSTITUTION, config.constitution]
    if before is not None:
        places = [before]
    for place in places:
        try:
            found = load_constitution(place)
        except ConstitutionError:
            if before is not None:
                raise
            continue
        if found.sha256 == sha256:
            return found
    said = f"{before} is another" if before is not None else "it is not in its folder"
    raise ConstitutionError(
        f"expected the constitution that {folder} was trained on (sha256 {sha256[:12]}…), {said}; "
        "give the older file with --before"
    )
