"""Amending the constitution of a finished run: the run's prompts and answer key found again."""

from pathlib import Path

from plumbrule.compliance import Oracle
from plumbrule.constitution import Constitution, load_constitution
from plumbrule.data import constitution_prompts, read_prompt_file
from plumbrule.loop import RunOutcome
from plumbrule.loop.amendable import AmendableRun, Amending, open_finished
from plumbrule.loop.amending import amend
from plumbrule.recipes.village import village_oracle, village_requests
from plumbrule.records import Prompt
from plumbrule.store import Tell, silent


def prompts_under(run: AmendableRun, constitution: Constitution) -> list[Prompt]:
    """The prompts of a run, with the tests of a version of its constitution."""
    if run.config.prompts == "village":
        return village_requests(run.config.seed)
    own = read_prompt_file(Path(run.config.prompts)).prompts
    return [*own, *constitution_prompts(constitution)]


def amend_run(
    folder: Path,
    constitution: Path | str,
    *,
    out: Path,
    before: Path | str | None = None,
    settings: Amending | None = None,
    command: str = "plumbrule amend",
    tell: Tell = silent,
) -> RunOutcome:
    """Bring the model of a finished run in line with an amended constitution.

    Args:
        folder: The run's; nothing in it is changed.
        constitution: The amended constitution: a YAML file or the name of a shipped one.
        out: Folder of the amendment; one that was interrupted goes on.
        before: The constitution the run was trained on, where its folder does not hold it.
        settings: How the amendment is learned and tested; None: the defaults.
        command: What the user typed, for the report.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    run = open_finished(folder, before=before)
    # In the village truth is known; its answer key reads the principles by their ids.
    oracle: Oracle | None = village_oracle if run.config.prompts == "village" else None
    return amend(
        run,
        constitution,
        prompts=prompts_under(run, run.constitution),
        amended_prompts=prompts_under(run, load_constitution(constitution)),
        out=out,
        oracle=oracle,
        settings=settings or Amending(),
        command=command,
        tell=tell,
    )
