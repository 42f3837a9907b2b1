"""The verb `curate`: a corpus and a constitution in, what is left of it and why out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plumbrule.cli.shown import typed

if TYPE_CHECKING:  # torch and its like take seconds to import; --help must not wait for them
    from plumbrule.recipes.curated import CuratedCorpus


def curate(
    corpus: Annotated[
        Path,
        typer.Argument(
            help="Text with blank lines between passages; or .jsonl or Parquet with a `text` each."
        ),
    ],
    constitution: Annotated[
        str, typer.Option(help="YAML file, or `default`, or `village`; its `words` need no judge.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the curation.")] = Path("runs/curate"),
    judge: Annotated[
        str | None,
        typer.Option(help="Model that reads passages: hub id, folder, lab:NAME or endpoint."),
    ] = None,
    judged: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000_000,
            help="Passages that the judge reads, drawn at random; a classifier of its rulings "
            "reads the rest. Default: it reads all.",
        ),
    ] = None,
    broken: Annotated[
        str, typer.Option(help="Fate of a passage that breaks a principle: drop, weigh or revise.")
    ] = "drop",
    fate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=FATE", help="Another fate for one principle; may be given several times."
        ),
    ] = None,
    undecided: Annotated[
        str, typer.Option(help="Fate of what nobody could decide: keep, weigh or drop.")
    ] = "keep",
    weight: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Weight of a passage that is weighed, beside 1 for the others."
        ),
    ] = 0.2,
    reviser: Annotated[
        str | None, typer.Option(help="Model that rewrites what the constitution's words cannot.")
    ] = None,
    judging_prompts: Annotated[
        str, typer.Option(help="Prompt set that judge and reviser are asked in, or a file.")
    ] = "default",
    longest: Annotated[
        int,
        typer.Option(min=20, max=1_000_000, help="Characters of a passage; a longer one is cut."),
    ] = 4000,
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Sort a corpus by a constitution: keep, weigh, rewrite or drop each passage, and say why.

    Writes kept.jsonl, dropped.jsonl and weights.jsonl with the principle behind each fate, and a
    report. An interrupted curation goes on when the same command is given again.
    """
    from plumbrule.cli.opening import open_beside
    from plumbrule.cli.progress import progress_bars
    from plumbrule.recipes.curated import Curation
    from plumbrule.recipes.curating import curate as curate_corpus

    settings = Curation(
        broken=broken,  # type: ignore[arg-type]  # looked at there
        fates=_fates(fate or []),  # type: ignore[arg-type]
        undecided=undecided,  # type: ignore[arg-type]
        weight=weight,
        judged=judged,
        longest=longest,
        seed=seed,
    )
    with progress_bars() as tell:
        models = open_beside(out, judge, reviser, device=device, dtype=dtype)
        found = curate_corpus(
            corpus,
            constitution,
            out=out,
            settings=settings,
            judge=models.get(judge),
            reviser=models.get(reviser),
            judging_prompts=judging_prompts,
            command=typed(),
            tell=tell,
        )
    _say(found)


def _fates(given: list[str]) -> dict[str, str]:
    """What `--fate` says, by principle.

    Raises:
        ConfigError: One is no `ID=FATE`, or a principle has two.
    """
    from plumbrule.errors import ConfigError

    found: dict[str, str] = {}
    for each in given:
        name, sign, fate = each.partition("=")
        if not sign or not name or not fate:
            raise ConfigError(f"--fate must be ID=FATE, such as no-oaths=weigh, got {each!r:.60}")
        if name in found:
            raise ConfigError(f"--fate names {name!r:.60} twice; give each principle one fate")
        found[name] = fate
    return found


def _say(found: "CuratedCorpus") -> None:
    """Print what each principle did, and what came of it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from plumbrule.recipes.curated import COLUMNS, curation_sentences, curation_table

    console = Console()
    shown = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        left = name in ("principle", "by")
        shown.add_column(name, justify="left" if left else "right", no_wrap=True)
    for row in curation_table(found):
        shown.add_row(*(escape(cell) for cell in row))
    console.print(shown)
    for line in curation_sentences(found):
        console.print(escape(line), soft_wrap=True)
    console.print(f"Kept:    {escape(str(found.path / 'kept.jsonl'))}", soft_wrap=True)
    console.print(f"Dropped: {escape(str(found.path / 'dropped.jsonl'))}", soft_wrap=True)
    page = found.path / "report" / "index.html"
    console.print(f"Report:  {escape(str(page))}", soft_wrap=True)
