"""`plumbrule constitution`: show, check, compare or draft constitutions."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plumbrule.cli.shown import plain_console, shown

if TYPE_CHECKING:
    from rich.console import Console

    from plumbrule.constitution import Complaint, Constitution, MarkdownImport, Principle
    from plumbrule.drafting import InverseDraft, PublicDraft

app = typer.Typer(
    help="Look at a constitution, check it, compare two, import one, or draft one from people.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Which = Annotated[
    str, typer.Argument(help="`default`, `village`, or a YAML file.", metavar="[NAME_OR_FILE]")
]
Named = Annotated[str, typer.Argument(help="`default`, `village`, or a YAML file.")]


@app.command()
def show(
    constitution: Which = "default",
    principle: Annotated[
        str, typer.Option(metavar="ID", help="Show this principle in full, tests included.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Print a constitution: tiers, principles, conditions."""
    from plumbrule.constitution import load_constitution

    found = load_constitution(constitution)
    chosen = found.principle(principle) if principle else None
    if as_json:
        typer.echo(_json(found, chosen))
    elif chosen:
        _print_principle(plain_console(), found, chosen)
    else:
        _print_constitution(plain_console(), found)


@app.command()
def lint(
    constitution: Which = "default",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
) -> None:
    """Check a constitution; exit with 1 where it has errors."""
    from plumbrule.constitution import lint as check
    from plumbrule.constitution import load_constitution

    found = load_constitution(constitution)
    complaints = check(found)
    console = plain_console()
    for complaint in complaints:
        _print_complaint(console, complaint)
    errors = sum(complaint.severity == "error" for complaint in complaints)
    warnings = len(complaints) - errors
    console.print(
        f"{_safe(found.name)}: {_count(len(found.principles), 'principle')}, "
        f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    )
    if errors or (strict and warnings):
        raise typer.Exit(1)


@app.command()
def diff(before: Named, after: Named) -> None:
    """Print what changed from one constitution to another."""
    from plumbrule.constitution import diff as compare
    from plumbrule.constitution import load_constitution

    found = compare(load_constitution(before), load_constitution(after))
    plain_console().print(_safe(found.describe()))


@app.command()
def conflicts(
    constitution: Which = "default",
    judge: Annotated[
        str, typer.Option(metavar="SPEC", help="Model that compares the worked examples' replies.")
    ] = "",
    judged: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Or pairs judged already: preferences, one a line."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print which principles pull apart on which pairs of replies, and what resolves it."""
    from plumbrule.constitution import load_constitution
    from plumbrule.errors import ConfigError
    from plumbrule.files import read_small_text
    from plumbrule.judging import compare_known, describe_conflicts, survey_conflicts
    from plumbrule.judging import load_prompts as prompts
    from plumbrule.records import Preference, read_jsonl, to_json

    if bool(judge) == (judged is not None):
        raise ConfigError("expected either --judge SPEC or --judged FILE, to know who prefers what")
    found = load_constitution(constitution)
    if judged is not None:
        read_small_text(judged, "a file of judged pairs", most=2**26)  # refuses what is none
        preferences = read_jsonl(Preference, judged)
    else:
        from plumbrule.cli.progress import progress_bars
        from plumbrule.models import open_model

        words = prompts("village" if found.name == "village" else "default")
        with progress_bars() as tell:
            preferences = compare_known(
                open_model(judge), found, prompts=words, progress=partial(tell, "comparing pairs")
            )
    survey = survey_conflicts(preferences, found)
    if as_json:
        typer.echo(json.dumps(to_json(survey), ensure_ascii=False, indent=2))
    else:
        plain_console().print(_safe(describe_conflicts(survey)))


@app.command()
def wording(
    constitution: Named,
    principle: Annotated[str, typer.Option(metavar="ID", help="Which principle.")],
    other: Annotated[str, typer.Option(metavar="TEXT", help="Another wording of the principle.")],
    model: Annotated[str, typer.Option(metavar="SPEC", help="Who is shown both wordings.")],
    judge: Annotated[
        str, typer.Option(metavar="SPEC", help="Who says what was kept; default: the model.")
    ] = "",
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Prompts; default: the principle's own probes."),
    ] = None,
    shown: Annotated[
        str, typer.Option(help="`critic`: it mends its replies by it; `system`: system prompt.")
    ] = "critic",
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Print which of two wordings of a principle a model keeps to better.

    Both are judged by the constitution's own text, on the same prompts and with the same draws.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.constitution import load_constitution
    from plumbrule.data import read_prompts
    from plumbrule.judging import describe_wordings, try_wordings
    from plumbrule.judging import load_prompts as words
    from plumbrule.models import Sampling, open_model
    from plumbrule.records import Dialogue, Message, to_json

    found = load_constitution(constitution)
    own = found.principle(principle)
    dialogues: list[Dialogue] = [(Message("user", text),) for text in own.probes]
    if prompts is not None:
        dialogues = [each.dialogue for each in read_prompts(prompts)]
    with progress_bars() as tell:
        tell("loading", 0, 1)
        opened = open_model(model)
        trial = try_wordings(
            opened,
            open_model(judge) if judge and judge != model else opened,
            dialogues,
            found,
            principle,
            (own.text, other),
            shown=shown,  # type: ignore[arg-type]  # checked there, with words for a person
            prompts=words("village" if found.name == "village" else "default"),
            sampling=Sampling(temperature=0.7, max_new_tokens=128),
            seed=seed,
            tell=tell,
        )
    if as_json:
        typer.echo(json.dumps(to_json(trial), ensure_ascii=False, indent=2))
    else:
        plain_console().print(_safe(describe_wordings(trial)))


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="Markdown in the style of OpenAI's Model Spec.")],
    name: Annotated[str, typer.Option(help="What to call it; default: the file's name.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; default: NAME.yaml in this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Make a constitution from Markdown with identifiers and levels of authority."""
    from plumbrule.constitution import dump_constitution, import_markdown
    from plumbrule.constitution.schema import slug
    from plumbrule.errors import OutputError
    from plumbrule.store import write_atomic

    name = name or file.stem
    target = out or Path(f"{slug(name) or 'imported'}.yaml")
    if target.exists() and not force:
        raise OutputError(
            f"expected a new file, got {target}, which exists already; "
            "choose another with --out, or overwrite it with --force"
        )
    made = import_markdown(_read(file), name=name)
    write_atomic(target, dump_constitution(made.constitution))
    _print_import(plain_console(), made, target)


Encoder = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Sentence encoder that says what is alike; else words."),
]


@app.command()
def public(
    files: Annotated[
        list[Path],
        typer.Argument(help="Polis' export (files or its folder), or JSONL.", metavar="FILE.."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the constitution and its numbers.")],
    name: Annotated[str, typer.Option(help="What to call the constitution.")] = "public",
    encoder: Encoder = None,
    writer: Annotated[
        str, typer.Option(metavar="SPEC", help="Model that words the principles.")
    ] = "",
    minorities: Annotated[
        bool,
        typer.Option(
            "--minorities/--no-minorities", help="Make principles of minorities' views too."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of the search for opinion groups.")] = 0,
) -> None:
    """Draft a constitution from what people said and how they voted on it.

    Exits with 1 where nothing was agreed on.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.loop.drafting import draft_from_public

    with progress_bars(log=out / "progress.log") as tell:
        draft = draft_from_public(
            files,
            out,
            name=name,
            seed=seed,
            minorities=minorities,
            encoder=encoder,
            writer_spec=writer,
            tell=tell,
        )
    _print_public(plain_console(), draft, out)
    if draft.constitution is None:
        raise typer.Exit(1)


@app.command()
def inverse(
    pairs: Annotated[
        Path, typer.Argument(help="Labeled pairs of replies, one a line.", metavar="PAIRS.jsonl")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the constitution and its numbers.")],
    name: Annotated[str, typer.Option(help="What to call the constitution.")] = "inverse",
    encoder: Encoder = None,
    judge: Annotated[
        str,
        typer.Option(metavar="SPEC", help="Model that proposes principles in words and votes."),
    ] = "",
    most: Annotated[int, typer.Option(min=1, max=1000, help="Principles at most.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the split of the pairs.")] = 0,
) -> None:
    """Find principles that explain which of two replies people preferred.

    Exits with 1 where held-out pairs confirm none.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.loop.drafting import draft_from_pairs

    with progress_bars(log=out / "progress.log") as tell:
        draft = draft_from_pairs(
            pairs, out, name=name, seed=seed, most=most, encoder=encoder, judge_spec=judge,
            tell=tell,
        )  # fmt: skip
    _print_inverse(plain_console(), draft, out)
    if draft.constitution is None:
        raise typer.Exit(1)


def _print_public(console: "Console", draft: "PublicDraft", out: Path) -> None:
    from plumbrule.drafting.pages import percent
    from plumbrule.drafting.public_views import STANDINGS

    groups = draft.groups
    console.print(
        f"{_count(draft.statements, 'statement')}, {draft.people} people, "
        f"{_count(draft.votes, 'vote')}"
    )
    for note in draft.notes:
        console.print(_safe(note))
    if groups.count:
        sizes = ", ".join(
            f"{name} {size}" for name, size in zip(groups.names, groups.sizes, strict=True)
        )
        console.print(f"opinion groups: {sizes} people (p = {groups.p_value:.3f})")
    else:
        console.print(f"opinion groups are not known: {_safe(str(groups.reason))}")
    for standing, title in STANDINGS.items():
        here = [view for view in draft.views if view.standing == standing]
        if here:
            console.print(f"\n[bold cyan]{title}[/]")
        for view in here:
            console.print(f"  [bold]{_safe(view.principle_id)}[/] {_safe(view.text)}")
            by_group = "".join(
                f"; {name} {each.value:.0%}" if each else f"; {name} nobody asked"
                for name, each in view.by_group.items()
            )
            agree = "" if view.agree is None else f", agree {percent(view.agree)}{by_group}"
            console.print(f"    [dim]{_count(len(view.statements), 'statement')}{_safe(agree)}[/]")
            if view.conflicts:
                console.print(f"    [yellow]in conflict with[/] {_safe(', '.join(view.conflicts))}")
    console.print(
        f"\n{_count(len(draft.views), 'principle')}; "
        f"{_count(len(draft.dropped), 'view')} agreed on by too few; "
        f"{_count(len(draft.removed), 'statement')} no view"
    )
    _print_written(console, draft.reason, draft.constitution, out)


def _print_inverse(console: "Console", draft: "InverseDraft", out: Path) -> None:
    from plumbrule.drafting.pages import exact, others_in_words

    pairs = draft.pairs
    console.print(
        f"{_count(len(pairs.pairs), 'labeled pair')} ({pairs.identical} identical, "
        f"{pairs.empty} empty, {pairs.contradictory} contradictory, "
        f"{pairs.undecided} undecided left out)"
    )
    for each in draft.principles:
        console.print(f"  [bold]{_safe(each.principle_id)}[/] {_safe(each.text)}")
        console.print(
            f"    [dim]right {each.right}, wrong {each.wrong} of the pairs voted on, "
            f"p = {each.p_value:.2g}; weight {each.weight:.2f}; "
            f"{_count(len(each.alternatives), 'other rule')} could stand here[/]"
        )
    console.print("\nlabels explained on pairs that decided nothing")
    for what, estimate in (
        ("this constitution", draft.agreement),
        ("longer wins", draft.longer_wins),
        ("always first", draft.always_first),
    ):
        console.print(_safe(f"  {what:<18} {exact(estimate)}"))
    if draft.others is not None:
        console.print(_safe(others_in_words(draft)))
    _print_written(console, draft.reason, draft.constitution, out)


def _print_written(
    console: "Console", reason: str | None, constitution: "Constitution | None", out: Path
) -> None:
    if constitution is None:
        console.print(f"no constitution: {_safe(str(reason))}; see {_safe(str(out))}/report.md")
    else:
        console.print(
            f"wrote {_safe(str(out))}/constitution.yaml, sha256 {constitution.sha256}; "
            "numbers in report.md and draft.json beside it"
        )


def _safe(text: str) -> str:
    """Text that cannot be taken for markup, nor steer the terminal."""
    return shown(text, keep="\n\u200c\u200d")  # joiners: letters of some scripts need them


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _json(constitution: "Constitution", principle: "Principle | None") -> str:
    from plumbrule.records import to_json

    value = to_json(principle or constitution)
    return json.dumps({"sha256": constitution.sha256, **value}, ensure_ascii=False, indent=2)


def _print_constitution(console: "Console", constitution: "Constitution") -> None:
    console.print(f"[bold]{_safe(constitution.name)}[/] version {_safe(constitution.version)}")
    console.print(f"[dim]sha256 {constitution.sha256}[/]")
    if constitution.description:
        console.print(_safe(constitution.description))
    for position, (tier, principles) in enumerate(constitution.by_tier()):
        note = ", decides first" if position == 0 else ""
        console.print(f"\n[bold cyan]{_safe(_tier_title(constitution, tier))}[/]{note}")
        for principle in principles:
            console.print(f"  [bold]{_safe(principle.id)}[/]")
            console.print(f"    {_safe(principle.text)}")
            _print_conditions(console, principle)
            tests = [
                _count(len(principle.probes), "probe"),
                _count(len(principle.twins), "twin"),
                _count(len(principle.critique_examples), "critique example"),
                _count(len(principle.counterfactuals), "counterfactual"),
            ]
            console.print(f"    [dim]{', '.join(tests)}[/]")


def _print_conditions(console: "Console", principle: "Principle") -> None:
    for label, color, conditions in (
        ("applies when", "green", principle.applies_when),
        ("except when", "yellow", principle.except_when),
    ):
        for condition in conditions:
            console.print(f"    [{color}]{label}[/] {_safe(condition)}")


def _tier_title(constitution: "Constitution", tier: int) -> str:
    name = constitution.tier_name(tier)
    return f"Tier {tier}" if name == f"tier {tier}" else f"Tier {tier}: {name}"


def _print_principle(
    console: "Console", constitution: "Constitution", principle: "Principle"
) -> None:
    console.print(f"[bold]{_safe(principle.id)}[/]")
    console.print(f"[bold cyan]{_safe(_tier_title(constitution, principle.tier))}[/]")
    console.print(f"    {_safe(principle.text)}")
    _print_conditions(console, principle)
    console.print(f"    [dim]source[/] {_safe(principle.source or 'none named')}")
    if principle.reason:
        console.print(f"    [dim]reason[/] {_safe(principle.reason)}")
    for label, prompts in (("probes", principle.probes), ("twins", principle.twins)):
        console.print(f"\n[bold]{label}[/]" + ("" if prompts else ": none"))
        for prompt in prompts:
            console.print(f"  - {_safe(prompt)}")
    for number, example in enumerate(principle.critique_examples, 1):
        console.print(f"\n[bold]critique example {number}[/]")
        for part in ("request", "reply", "critique", "revision"):
            console.print(f"  [dim]{part}[/] {_safe(getattr(example, part))}")
    for number, each in enumerate(principle.counterfactuals, 1):
        console.print(f"\n[bold]counterfactual {number}[/]")
        for part in ("reply", "breaks", "keeps"):
            console.print(f"  [dim]{part}[/] {_safe(getattr(each, part))}")


def _print_complaint(console: "Console", complaint: "Complaint") -> None:
    color = "red" if complaint.severity == "error" else "yellow"
    about = f" {_safe(', '.join(complaint.principle_ids))}:" if complaint.principle_ids else ""
    console.print(
        f"[{color}]{complaint.severity}[/] [bold]{complaint.code}[/]{about} "
        f"{_safe(complaint.message)}"
    )
    console.print(f"    fix: {_safe(complaint.fix)}")


def _read(file: Path) -> str:
    from plumbrule.constitution.importer import MAX_CHARACTERS
    from plumbrule.errors import ConstitutionError
    from plumbrule.files import read_small_text

    most = 4 * MAX_CHARACTERS  # bytes that so many characters may take
    return read_small_text(file, "a Markdown file", most=most, error=ConstitutionError)


def _print_import(console: "Console", made: "MarkdownImport", target: Path) -> None:
    for skipped in made.skipped:
        console.print(
            f"[dim]line {skipped.line}[/] skipped {_safe(skipped.what)}: {_safe(skipped.why)}"
        )
    principles = made.constitution.principles
    levels = ", ".join(f"{level} {count}" for level, count in made.by_authority.items())
    console.print(f"{_count(len(principles), 'principle')} ({levels})")
    tests = [
        _count(sum(len(getattr(each, field)) for each in principles), noun)
        for field, noun in (
            ("probes", "probe"),
            ("twins", "twin"),
            ("critique_examples", "critique example"),
        )
    ]
    console.print(f"{', '.join(tests)}; {_count(len(made.skipped), 'thing')} skipped, listed above")
    console.print(f"wrote {_safe(str(target))}, sha256 {made.constitution.sha256}")
