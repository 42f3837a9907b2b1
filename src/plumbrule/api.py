"""The tool in a few lines of Python: `import plumbrule as pr`.

```python
import plumbrule as pr

found = pr.compare("BASE", "TUNED", ["How do I …?", …])
found.summary, found.findings
found.save("runs/compare")

model = pr.open_model("BASE")
model.capture(["The cat sat on the mat."], ["3.out"])
model.find_circuit(task="indirect-object")
```

Everything is a thin call of what the command line calls, with the same folders, ledger and resume.
"""

import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from threading import Thread
from typing import TYPE_CHECKING, Any

from plumbrule.behavior import (
    CompareSettings,
    compare_models,
    comparison_content,
)
from plumbrule.constitution import load_constitution
from plumbrule.data import constitution_prompts, read_prompts
from plumbrule.errors import ConfigError, DataError
from plumbrule.folders import paid_answers
from plumbrule.loop.comparing import compare_and_report
from plumbrule.loop.sizes import open_pair
from plumbrule.models import LanguageModel, Sampling
from plumbrule.opened_model import Model as Model
from plumbrule.opened_model import open_model
from plumbrule.records import Message, Prompt
from plumbrule.results import Aligned, Attacked, Compared, Complied, Reviewed
from plumbrule.results import FoundCircuit as FoundCircuit
from plumbrule.store import Tell, fingerprint, silent

if TYPE_CHECKING:
    from plumbrule.compliance import Oracle, TestSet
    from plumbrule.compliance.attacks import AttackFamily
    from plumbrule.loop import RunConfig
    from plumbrule.loop.looping import LoopOutcome
    from plumbrule.loop.recipe import KnownWorld
    from plumbrule.oversight import Reliability, ReviewBudget
    from plumbrule.serving import LivePage

Prompts = Path | str | Sequence[str | Prompt]
"""A file of prompts (a path ending in .jsonl), or texts, or records."""

_FILES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def compare(
    base: LanguageModel | str,
    tuned: LanguageModel | str,
    prompts: Prompts,
    *,
    out: Path | str | None = None,
    judge: LanguageModel | str | None = None,
    embedder: Path | str | None = None,
    max_tokens: int = 64,
    memory: float | None = None,
    tell: Tell = silent,
    **settings: Any,
) -> Compared:
    """Find what differs between two models' replies, with an error guarantee on every claim.

    Args:
        base: The model before.
        tuned: The model after.
        prompts: What the models are used for; the claims are about these.
        out: Folder of the comparison, so that an interrupted one goes on; None: kept in memory
            until `save`.
        judge: A model that proposes hypotheses and judges what cannot be counted.
        embedder: Folder of a sentence encoder that says what prompts are about.
        max_tokens: Longest reply.
        memory: Most memory to take, in GB, where both models are named; None: what is free. Where
            it does not hold both, they take turns in it.
        tell: Told of progress.
        **settings: Of `CompareSettings`, such as `fdr`, `budget`, `seed`.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    if isinstance(base, str) and isinstance(tuned, str):
        cache = None if out is None else paid_answers(Path(out))
        most = None if memory is None else round(memory * 1e9)
        before, after, _ = open_pair(base, tuned, most_bytes=most, cache=cache)
    else:
        before, after = (_opened(each, out) for each in (base, tuned))
    chosen = CompareSettings(sampling=Sampling(max_new_tokens=max_tokens), **settings)
    given: dict[str, Any] = {
        "settings": chosen,
        "judge": None if judge is None else _opened(judge, out),
        "encoder": None if embedder is None else Path(embedder),
        "tell": tell,
    }
    asked, command = as_prompts(prompts), "pr.compare(…)"
    if out is None:
        found = compare_models(before, after, asked, **given)
        content = comparison_content(found, base=before, tuned=after, command=command)
    else:
        found, content = compare_and_report(
            Path(out), before, after, asked, command=command, **given
        )
    return Compared(comparison=found, content=content)


def align(
    model: str,
    prompts: Prompts,
    *,
    out: Path | str,
    constitution: str = "default",
    tell: Tell = silent,
    **config: Any,
) -> Aligned:
    """Train a model on a constitution and report what changed.

    Args:
        model: Hub id, folder or `lab:NAME`.
        prompts: What to train and to examine with; the constitution's own tests are added.
        out: Folder of the run; one that was interrupted goes on.
        constitution: A YAML file, or the name of a shipped one.
        tell: Told of progress.
        **config: Of `plumbrule.loop.RunConfig`, such as `critic`, `judge`, `method`, `seed`.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    from plumbrule.loop import align as run
    from plumbrule.loop import make_config

    named = str(prompts) if isinstance(prompts, str | Path) else "given from Python"
    chosen: RunConfig = make_config(
        {"model": model, "prompts": named, "constitution": constitution, **config},
        "the arguments",
    )
    asked = [*as_prompts(prompts), *constitution_prompts(load_constitution(constitution))]
    outcome = run(chosen, prompts=asked, out=Path(out), command="pr.align(…)", tell=tell)
    return Aligned(model=outcome.model, report=outcome.report, content=outcome.content)


def close_loop(
    recipe: Path | str,
    *,
    out: Path | str,
    rounds: int | None = None,
    world: "KnownWorld | None" = None,
    tell: Tell = silent,
) -> "LoopOutcome":
    """Find what is wrong with a model, remedy it, prove it, and again, until the gates hold.

    Args:
        recipe: A YAML file: constitution, base, model or data, prompts, judge; see `docs/loop.md`.
        out: Folder of the loop; one that was interrupted goes on.
        rounds: Most rounds, in place of the recipe's.
        world: What `village` stands for in the recipe, such as
            `plumbrule.recipes.looping.village_world()`.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    from plumbrule.loop.recipe import loop_recipe

    return loop_recipe(
        Path(recipe),
        Path(out),
        rounds=rounds,
        world=world,
        command="pr.close_loop(…)",
        tell=tell,
    )


def remedy(
    run: Path | str,
    *,
    out: Path | str,
    settings: Mapping[str, Any] | None = None,
    world: "KnownWorld | None" = None,
    tell: Tell = silent,
    **changes: Any,
) -> "LoopOutcome":
    """Answer what is wrong with a finished run's last model: one round of the loop.

    Args:
        run: The run's folder; nothing in it is changed.
        out: Folder of the remedies; one that was interrupted goes on.
        settings: Of `plumbrule.loop.remedies.LoopSettings`, in place of one round and of what the
            run was trained with.
        world: As for `close_loop`, where the run is the village's.
        tell: Told of progress.
        **changes: Of `plumbrule.loop.recipe.LoopRecipe`, such as `data`, `labels`, `library`,
            `judge`.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    from plumbrule.loop.recipe import remedy_run

    return remedy_run(
        Path(run),
        Path(out),
        settings=settings,
        changes=changes,
        world=world,
        command="pr.remedy(…)",
        tell=tell,
    )


def comply(
    model: LanguageModel | str,
    *,
    constitution: str = "default",
    judge: "LanguageModel | Oracle | str",
    tests: "TestSet | Path | str | None" = None,
    prompts: Prompts | None = None,
    judging_prompts: str = "default",
    out: Path | str | None = None,
    tell: Tell = silent,
    **settings: Any,
) -> Complied:
    """Find how often a model breaks each principle, with bounds for the worst case.

    Args:
        model: Open, or named: hub id, folder, `lab:NAME`, endpoint.
        constitution: A YAML file, or the name of a shipped one.
        judge: A model, which is examined first on the constitution's own examples; or an answer
            key, such as `plumbrule.recipes.village_oracle`: tests that it does not know are left
            out and counted in the notes (`plumbrule.recipes.village_tests` makes many it knows).
        tests: A set, or a file of tests; None: made from the constitution and the prompts.
        prompts: Requests whose `kind` names the principle that they test.
        judging_prompts: What a model is asked in as judge.
        out: Folder of the examination, so that an interrupted one goes on; None: kept nowhere.
        tell: Told of progress.
        **settings: Of `plumbrule.compliance.ComplianceSettings`, such as `bound`, `fdr`, `seed`.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    from plumbrule.compliance import ComplianceSettings, TestSet, build_tests, read_tests
    from plumbrule.judging import load_prompts
    from plumbrule.loop.complying import comply_and_report

    law, chosen = load_constitution(constitution), ComplianceSettings(**settings)
    if tests is None:
        asked = () if prompts is None else as_prompts(prompts)
        tests = build_tests(law, asked, chosen.seed)
    elif not isinstance(tests, TestSet):
        tests = read_tests(Path(tests))
    with _kept_or_not(out) as folder:
        done = comply_and_report(
            _opened(model, out),
            law,
            tests,
            judge=_opened(judge, out) if isinstance(judge, str) else judge,
            out=folder,
            settings=chosen,
            judging_prompts=load_prompts(judging_prompts),
            command="pr.comply(…)",
            tell=tell,
        )
    return Complied(result=done.result, content=done.content)


def red_team(
    model: LanguageModel | str,
    *,
    constitution: str = "default",
    judge: "LanguageModel | Oracle | str",
    attacker: LanguageModel | str | None = None,
    base: LanguageModel | str | None = None,
    brought: Sequence[Path | str] = (),
    families: "Sequence[AttackFamily] | None" = None,
    goals: "TestSet | None" = None,
    judging_prompts: str = "default",
    out: Path | str | None = None,
    tell: Tell = silent,
    **settings: Any,
) -> Attacked:
    """Attack a model by its constitution, and find which principles give way to what.

    Args:
        model: Open, or named: hub id, folder, `lab:NAME`, endpoint.
        constitution: A YAML file, or the name of a shipped one.
        judge: A model, which is examined first; or an answer key, which is asked what it knows.
        attacker: A model that writes attacks.
        base: What the model was tuned from: texts that switch it are sought through the weights.
        brought: Files of others' attacks, each line with its principle.
        families: Attacks of one's own, in place of the templates.
        goals: Tests whose probes are what attacks are after; None: the constitution's own.
        judging_prompts: What a model is asked in as judge.
        out: Folder of the red team, so that an interrupted one goes on; None: kept nowhere.
        tell: Told of progress.
        **settings: Of `plumbrule.compliance.attacks.RedTeamSettings`, such as `budget`, `seed`.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    from plumbrule.compliance import PLAINLY, build_tests
    from plumbrule.compliance.attacks import (
        RedTeamSettings,
        brought_families,
        read_attacks,
        template_families,
        written_families,
    )
    from plumbrule.judging import load_prompts
    from plumbrule.loop.red_teaming import red_team_and_report, searched_families

    law, chosen = load_constitution(constitution), RedTeamSettings(**settings)
    after = goals or build_tests(law, (), chosen.seed, ways=PLAINLY)
    opened = _opened(model, out)
    asked = list(template_families() if families is None else families)
    if attacker is not None:
        asked += written_families(_opened(attacker, out))
    notes: tuple[str, ...] = ()
    if base is not None:
        found, said = searched_families(opened, _opened(base, out), after, seed=chosen.seed)
        asked, notes = [*asked, *found], (said,)
    read = [each for path in brought for each in read_attacks(Path(path))]
    asked += brought_families(read, principles=[each.id for each in law.principles])
    with _kept_or_not(out) as folder:
        done = red_team_and_report(
            opened,
            law,
            after,
            asked,
            judge=_opened(judge, out) if isinstance(judge, str) else judge,
            out=folder,
            settings=chosen,
            judging_prompts=load_prompts(judging_prompts),
            notes=notes,
            command="pr.red_team(…)",
            tell=tell,
        )
    return Attacked(result=done.result, content=done.content)


def review(
    paper: Path | str | None = None,
    *,
    out: Path | str | None = None,
    bibliography: Path | str | None = None,
    sources: Path | str | None = None,
    judge: LanguageModel | str | None = None,
    reliability: "Reliability | None" = None,
    budget: "ReviewBudget | None" = None,
    tell: Tell = silent,
    **settings: Any,
) -> Reviewed:
    """Review a paper: references, statistics and numbers without a model, the rest with one.

    Args:
        paper: Markdown, LaTeX, plain text or PDF; None shows the review in `out` again, after
            asking what people sent back (see `plumbrule.oversight`: `accept`, `overrule`,
            `send_back`).
        out: Folder of the review, so that an interrupted one goes on and
            `plumbrule review --verify` can check it; None: kept as long as the result, until
            `save`.
        bibliography: Trusted entries (`.bib`) to compare the references with.
        sources: Folder with the texts of cited works.
        judge: Model for method, logic and overclaiming; None leaves them openly unchecked.
        reliability: How often the judge is right, as measured; without it a judge raises doubts
            and passes nothing.
        budget: Limits of all checks together.
        tell: Told of progress.
        **settings: `piece` (characters of the paper that one question is about), `depth` (levels
            below the paper that are judged), `workers`, `timeout_seconds`, `seed`.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    from plumbrule.loop.reviewing import answer_and_report, review_and_report

    if paper is None and out is None:
        raise ConfigError("expected a paper, or the folder of a review as `out`, got neither")
    beside = [each for each in (bibliography, sources, reliability, budget) if each is not None]
    if paper is None and beside:
        raise ConfigError(
            "expected a paper beside `bibliography`, `sources`, `reliability` or `budget`, got none"
        )
    folder = Path(out if out is not None else mkdtemp(prefix="plumbrule-review-"))
    try:
        asked = None if judge is None else _opened(judge, out)
        if paper is None:
            done = answer_and_report(folder, judge=asked, tell=tell, **settings)
        else:
            done = review_and_report(
                folder,
                Path(paper),
                bibliography=None if bibliography is None else Path(bibliography),
                sources=None if sources is None else Path(sources),
                judge=asked,
                reliability=reliability,
                budget=budget,
                tell=tell,
                **settings,
            )
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    found = Reviewed(done=done, folder=folder)
    if out is None:
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    return found


def as_prompts(prompts: Prompts) -> list[Prompt]:
    """Prompts as records.

    Args:
        prompts: A file, or texts or records; texts that repeat count once.

    Raises:
        DataError: There is none, or one is empty.
    """
    if isinstance(prompts, str | Path):
        if isinstance(prompts, str) and not prompts.endswith(_FILES):
            raise DataError(
                "expected a list of prompts, or a file of them that ends in .jsonl, got one text: "
                f"{prompts!r:.80}"
            )
        return read_prompts(Path(prompts))
    found: dict[str, Prompt] = {}
    for number, each in enumerate(prompts, 1):
        if isinstance(each, str):
            if not each.strip():
                raise DataError(f"expected a text, prompt {number} is empty")
            each = Prompt(id=fingerprint(each)[:16], dialogue=(Message("user", each),))
        found.setdefault(each.id, each)
    if not found:
        raise DataError("expected prompts, got none")
    return list(found.values())


def serve(
    folder: Path | str,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    names: Sequence[str] = (),
) -> "LivePage":
    """Serve a page that follows what lies under a folder, from a thread of this process.

    Args:
        folder: Runs, watches, trials and reports lie under it; nothing there is changed.
        port: None takes 7463, or any that is free.
        host: Address to listen at; another than the loopback asks for a token.
        token: What a browser must show first; None: nothing on the loopback, a new one elsewhere.
        names: Names by which browsers may call this machine, beside its addresses.

    Returns:
        The page, which answers at its `url` until `stop`.

    Raises:
        DataError: There is no such folder.
        ConfigError: The address or the port cannot be used, or the token is too short.
    """
    from plumbrule.serving import LivePage

    page = LivePage(Path(folder), host=host, port=port, token=token, names=names)
    Thread(target=page.run, daemon=True).start()
    return page


@contextmanager
def _kept_or_not(out: Path | str | None) -> Iterator[Path]:
    """The folder of a verb; where none is named, one that is gone afterwards."""
    if out is not None:
        yield Path(out)
        return
    with TemporaryDirectory(prefix="plumbrule-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _opened(model: LanguageModel | str, out: Path | str | None) -> LanguageModel:
    """A model, open; answers of an endpoint are kept beside the folder that is written."""
    if not isinstance(model, str):
        return model
    if out is None:
        return open_model(model)
    return open_model(model, cache=paid_answers(Path(out)))
