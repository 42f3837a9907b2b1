"""The verb `inspect features`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from plumbrule.mechanism.features import Dictionary, TextActivations
    from plumbrule.mechanism.features.reporting import FeatureReport

HELD_OUT = 0.1
"""Share of the texts that a dictionary is scored on and not trained on."""

SAVED = "dictionary"
"""Folder within --out that gets a trained dictionary."""


def features(
    model: Annotated[str, typer.Argument(help="Hub id, folder, PEFT adapter or lab:NAME.")],
    texts: Annotated[
        Path,
        typer.Option(help="What the model reads: text with blank lines between, or JSON lines."),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for index.html, report.json and a trained dictionary.")
    ],
    train: Annotated[
        bool, typer.Option("--train", help="Train a dictionary on the texts.")
    ] = False,
    dictionary: Annotated[
        Path | None,
        typer.Option(help="Read this one instead: of SAELens, Gemma Scope or sparsify."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            help="Site that it reads, such as `3.out`; default: the middle layer, or the file's."
        ),
    ] = None,
    into: Annotated[
        str | None, typer.Option(help="Site that it predicts: makes it a transcoder.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Model before training, for dictionaries that read both.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="With --against: `crosscoder` or `difference`.")
    ] = "crosscoder",
    kind: Annotated[
        str,
        typer.Option(help="`topk`, `batch_topk`, `matryoshka`, `jumprelu` or `relu`."),
    ] = "batch_topk",
    latents: Annotated[
        int, typer.Option(min=1, max=10**7, help="Latents of the dictionary.")
    ] = 2048,
    active: Annotated[int, typer.Option(min=1, max=10**6, help="Active latents a token.")] = 32,
    tokens: Annotated[
        int,
        typer.Option(min=1, max=10**12, help="Tokens to train on; fewer texts are read again."),
    ] = 300_000,
    rate: Annotated[
        float, typer.Option(min=0, max=1, help="Learning rate; less for long trainings.")
    ] = 3e-3,
    labels: Annotated[
        Path | None,
        typer.Option(help="JSON lines with `text` and `label` (true or false), for the baselines."),
    ] = None,
    namer: Annotated[
        str | None, typer.Option(help="Model that names latents: as for MODEL, or an endpoint.")
    ] = None,
    latent: Annotated[
        list[int] | None,
        typer.Option(min=0, max=10**9, help="Latent to describe; may be given several times."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of first weights, order and split.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="`auto`, `float32`, `bfloat16`.")] = "auto",
) -> None:
    """Train a sparse dictionary of what a model computes, or read one, and show its features.

    A tenth of the texts is kept back to score it: variance explained, latents active and never
    active, and what the model loses where the dictionary stands in for its site. With --labels the
    best single latent is shown beside a difference of means and a linear probe, which often do as
    well. A training that was killed goes on where it stopped.
    """
    from plumbrule.cli.progress import progress_bars
    from plumbrule.cli.shown import typed
    from plumbrule.data import open_corpus
    from plumbrule.errors import ConfigError
    from plumbrule.mechanism.features import TextActivations, held_out, text_rows
    from plumbrule.mechanism.features.reporting import read_labeled, report_features
    from plumbrule.report import write_page

    if train == (dictionary is not None):
        raise ConfigError("expected either --train or --dictionary FOLDER, got both or neither")
    corpus = open_corpus(texts)
    given = None if labels is None else read_labeled(labels)
    opened, part = _opened(model, device, dtype)
    base = None if against is None else _opened(against, device, dtype)[1]
    rows = text_rows(opened, [each.text for each in corpus])
    kept_for_training, kept_back = held_out(rows, HELD_OUT, seed=seed)
    source = TextActivations(model=part, base=base, rows=kept_for_training, seed=seed)
    held = TextActivations(model=part, base=base, rows=kept_back, seed=seed)
    labeled = None
    if given is not None:
        some = [row for text, _ in given for row in text_rows(opened, [text])[:1]]
        labeled = (
            TextActivations(model=part, base=base, rows=some, seed=seed),
            [label for _, label in given],
        )
    name_giver = None if namer is None else _namer(namer)
    middle = f"{(len(part.sites.layers) - 1) // 2}.out"
    with progress_bars() as tell:
        trained = None
        if train:
            from plumbrule.mechanism.features import (
                DictionarySettings,
                Reading,
                Wanted,
                save_dictionary,
                train_features,
            )

            asked: Any = "transcoder" if into else task if base else "autoencoder"
            wanted = Wanted(
                name="dictionary",
                reading=Reading(task=asked, site=site or middle, into=into),
                settings=DictionarySettings(
                    kind=kind,  # type: ignore[arg-type]
                    latents=latents,
                    active=active,
                    tokens=tokens,
                    learning_rate=rate,
                    seed=seed,
                ),
            )
            trained = train_features(source, [wanted], folder=out, model=model, tell=tell)
            found = trained.dictionaries["dictionary"]
            save_dictionary(found, out / SAVED)
        else:
            assert dictionary is not None
            found = _read(dictionary, held, site=site, into=into, model=model)
        report = report_features(
            found,
            held,
            latents=latent,
            decode=_piece(opened),
            labeled=labeled,
            namer=name_giver,
            progress=None if trained is None else trained.progress["dictionary"],
            seed=seed,
            tell=tell,
        )
    title = f"Features of {model} at {found.origin.reading.site}"
    write_page("features", report.record(title=title, command=typed()), out)
    _print(report, out)


def _opened(spec: str, device: str, dtype: str) -> Any:
    from plumbrule.mechanism.features import ModelPart
    from plumbrule.mechanism.opening import open_with_sites

    handle, sites = open_with_sites(spec, device=device, dtype=dtype)
    return handle, ModelPart(module=handle.module, sites=sites, identity=handle.identity)


def _namer(spec: str) -> Any:
    from plumbrule.models import open_model

    return open_model(spec)


def _piece(model: Any) -> Any:
    """A token's text as it reads between others."""

    def text(token: int) -> str:
        return str(model.tokenizer.decode([token], clean_up_tokenization_spaces=False))

    return text


def _read(
    folder: Path, held: "TextActivations", *, site: str | None, into: str | None, model: str
) -> "Dictionary":
    """A dictionary from disk, refused where it does not belong."""
    from plumbrule.mechanism.features import Reading, check_fits, read_dictionary

    reading = None
    if site is not None:
        reading = Reading(task="transcoder" if into else "autoencoder", site=site, into=into)
    found = read_dictionary(folder, reading=reading)
    check_fits(found, held.model, base=held.base, spec=model)
    return found


def _print(report: "FeatureReport", out: Path) -> None:
    from rich.console import Console

    from plumbrule.cli.inspect_model import plain, say, table_of

    console, score = Console(), report.score
    lost = (
        f", {score.loss_recovered:.1%} of the loss recovered"
        if score.loss_recovered is not None
        else ""
    )
    say(
        console,
        f"{report.dictionary.latents} latents at {report.dictionary.origin.reading.site}: "
        f"{score.variance_explained:.1%} of the variance explained with {score.active:.1f} active "
        f"a token, {score.dead:.1%} never active{lost}; {score.tokens} held-out tokens.",
    )
    if report.baselines is not None:
        b = report.baselines
        table = table_of("tells the labeled texts apart", "AUROC", "95% interval")
        for name, estimate in (
            (f"best latent, {b.latent}", b.feature),
            ("difference of means", b.mean_difference),
            ("logistic probe", b.probe),
        ):
            interval = f"{estimate.low:.3f} to {estimate.high:.3f}"
            table.add_row(plain(name), plain(f"{estimate.value:.3f}"), plain(interval))
        console.print(table)
    table = table_of("latent", "active on", "most active at", "raises", "name")
    for each in report.features:
        feature = each.feature
        places = [_peak(context) for context in feature.contexts[:5]]
        table.add_row(
            plain(str(feature.latent)),
            plain(f"{feature.density:.2%}"),
            plain(" ".join(places)),
            plain(" ".join(repr(token.text) for token in feature.raised[:5])),
            plain(feature.name),
        )
    console.print(table)
    for note in report.notes:
        say(console, note)
    say(console, f"Written to {out / 'index.html'}")


def _peak(context: Any) -> str:
    """The most active token of a context, quoted."""
    at = max(range(len(context.tokens)), key=lambda place: context.activations[place])
    return repr(context.tokens[at])
