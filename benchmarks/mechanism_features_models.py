"""Dictionaries on models: what was planted in the lab, null pairs, SmolLM2's middle layer."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import real_ground
from benchmarks.organism_trials import CACHE
from benchmarks.rows import Row, single, spread
from plumbrule.mechanism.features import (
    DictionarySettings,
    ModelPart,
    Reading,
    TextActivations,
    Wanted,
    against_baselines,
    held_out,
    save_dictionary,
    scale_latents,
    score_dictionary,
    text_rows,
    train_features,
)
from plumbrule.mechanism.features.baselines import pooled
from plumbrule.mechanism.features.settings import Kind
from plumbrule.mechanism.opening import open_with_sites
from plumbrule.statistics import auroc

PLANTED = (("over_refusal", 1), ("over_refusal", 2), ("sycophancy", 1), ("reward_hacking", 1))
"""None of seed 0, on which the size of the dictionaries was chosen."""

NULLS = (("none", 0), ("none", 1))
"""Trained further on the base's own replies, each with another seed."""

SETTINGS = DictionarySettings(
    kind="batch_topk", latents=512, active=12, tokens=200_000, batch=512, learning_rate=5e-3
)
POOL_SEED, PER_KIND = 11, 60
DATA = real_ground.DATA


def opened(spec: str) -> tuple[Any, ModelPart]:
    """A model and what is read of it."""
    handle, sites = open_with_sites(spec, device="cpu", dtype="float32")
    return handle, ModelPart(module=handle.module, sites=sites, identity=handle.identity)


def pair(kind: str, seed: int, *, against: tuple[str, int] | None = None) -> Mapping[str, Any]:
    """Train a crosscoder and a difference dictionary on a pair, and ask both what changed.

    The latent that is most specific to the tuned model is chosen without a label; labels, which
    say what was planted where, only score it.

    Args:
        kind: Of the organism.
        seed: Of the organism.
        against: Another organism to take for the model before; None: the base itself.
    """
    from plumbrule.lab import organisms

    made = organisms.Organism(kind=kind, method="full", seed=seed)
    handle, tuned = opened(str(organisms.cached(made, CACHE / "organisms")))
    before = "lab:small"
    if against is not None:
        other = organisms.Organism(kind=against[0], method="full", seed=against[1])
        before = str(organisms.cached(other, CACHE / "organisms"))
    base = opened(before)[1]
    prompts = organisms.pool(seed=POOL_SEED, per_kind=PER_KIND)
    truth = organisms.truth(made)
    rows = [list(row) for row in handle.chat.prompts([each.dialogue for each in prompts])]
    labels = [truth.affects(organisms.request_of(each)) for each in prompts]
    cut = len(rows) * 2 // 3
    source = TextActivations(model=tuned, base=base, rows=rows[:cut])
    kept = TextActivations(model=tuned, base=base, rows=rows[cut:])
    site = f"{len(tuned.sites.layers) // 2}.out"
    trained = train_features(
        source,
        [
            Wanted(
                name=task,
                reading=Reading(task=task, site=site),
                settings=SETTINGS,
            )
            for task in ("crosscoder", "difference")
        ],
    ).dictionaries
    scaled = scale_latents(trained["crosscoder"], kept)
    found: dict[str, Any] = {
        "latents": len(scaled),
        "specific": sum(each.specific for each in scaled),
        "short_vector": sum(each.other_norm < 0.5 for each in scaled),
        "least_nu": max(abs(scaled[0].nu_reconstruction), abs(scaled[0].nu_error)),
    }
    some = np.array(labels[cut:], bool)
    if some.any():
        own = next(each for each in scaled if each.of == "tuned")
        largest = pooled(trained["crosscoder"], kept, latents=[own.latent]).largest[:, 0]
        moved = pooled(trained["difference"], kept, latents=[0]).inputs
        best = against_baselines(trained["difference"], kept, labels[cut:], seed=0)
        found |= {
            "crosscoder": _area(largest, some),
            "moved": _area(np.linalg.norm(moved, axis=1), some),
            "difference": best.feature.value,
            "mean_difference": best.mean_difference.value,
            "probe": best.probe.value,
        }
    return found


def _area(scores: np.ndarray, truth: np.ndarray) -> float:
    return auroc(scores[truth].tolist(), scores[~truth].tolist()).value


def difference_rows(
    planted: Sequence[Mapping[str, Any]], null: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """Rows of pairs with something planted and of pairs without."""
    seeds = sorted({seed for _, seed in PLANTED})
    null_seeds = list(range(len(null)))

    def row(measure: str, key: str, pairs: Sequence[Mapping[str, Any]], **given: Any) -> Row:
        values = [float(each[key]) for each in pairs]
        return spread(measure, values, seeds=seeds if pairs is planted else null_seeds, **given)

    area = "AUROC; smallest and largest of the organisms"
    return [
        row(
            "planted change in lab:small: crosscoder, the most specific latent, chosen without "
            "labels, tells affected prompts apart",
            "crosscoder", planted, unit=area,
        ),
        row(
            "the same: how far the activations moved, without a dictionary",
            "moved", planted, unit=area,
        ),
        row(
            "the same with labels: best latent of a difference dictionary, on held-out prompts",
            "difference", planted, unit=area,
        ),
        row("the same with labels: difference of means", "mean_difference", planted, unit=area),
        row("the same with labels: logistic probe", "probe", planted, unit=area),
        row(
            "latents of one model alone by latent scaling (0.5 and 0.2), planted change",
            "specific", planted, unit="latents", target=">= 1", met=lambda value: value >= 1,
        ),
        row(
            "latents of one model alone by latent scaling (0.5 and 0.2), null pair",
            "specific", null, unit="latents", target="0", met=lambda value: value == 0, worst=max,
        ),
        row(
            "smallest larger one of the two fits, planted change", "least_nu", planted, unit="ratio"
        ),
        row("smallest larger one of the two fits, null pair", "least_nu", null, unit="ratio"),
    ]  # fmt: skip


REAL = {"tokens": 30_000, "latents": 1024, "active": 32, "held_out": 1_500}


REAL_KINDS: tuple[Kind, ...] = ("topk",)


def real_texts(data: Path) -> Iterator[str]:
    """Dialogues, a constitution, papers and plays, as people wrote them."""
    with gzip.open(data / "hh_rlhf_harmless_test.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number < 700:
                yield json.loads(line)["chosen"]
    yield (data / "openai_model_spec.md").read_text("utf-8")[:150_000]
    for paper in sorted((data / "papers").rglob("*.md"))[:12]:
        yield paper.read_text("utf-8")[:20_000]
    yield (data / "tiny_shakespeare.txt").read_text("utf-8")[:150_000]


def real(folder: Path, data: Path, *, tokens: int) -> Mapping[str, Any]:
    """Train two dictionaries on SmolLM2's middle layer in one pass, and score them.

    Args:
        folder: Keeps the state of the training and the dictionaries.
        data: Texts.
        tokens: To train on.
    """
    handle, part = opened(str(real_ground.root() / "smollm2"))
    rows = text_rows(handle, list(real_texts(data)))
    train, kept = held_out(rows, 0.1, seed=0)
    site = f"{(len(part.sites.layers) - 1) // 2}.out"
    source = TextActivations(model=part, rows=train)
    wanted = [
        Wanted(
            name=kind,
            reading=Reading(site=site),
            settings=DictionarySettings(
                kind=kind,
                latents=int(REAL["latents"]),
                active=int(REAL["active"]),
                tokens=tokens,
                batch=256,
                learning_rate=3e-3,
            ),
        )
        for kind in REAL_KINDS
    ]

    def tell(stage: str, done: int, total: int) -> None:
        print(f"{stage}: {done} of {total}", flush=True)

    trained = train_features(source, wanted, folder=folder, model="smollm2", tell=tell)
    few: list[Any] = []
    for row in kept:
        if sum(map(len, few)) < REAL["held_out"]:
            few.append(row)
    scores = {}
    for kind, each in trained.dictionaries.items():
        save_dictionary(each, folder / kind)
        score = score_dictionary(each, TextActivations(model=part, rows=few))
        print(kind, score, flush=True)
        scores[kind] = {
            name: getattr(score, name)
            for name in (
                "variance_explained", "active", "dead", "loss", "loss_spliced", "loss_without",
                "loss_recovered", "tokens",
            )
        }  # fmt: skip
    return {"site": site, "tokens": tokens, "scores": scores}


def real_rows(found: Mapping[str, Any]) -> list[Row]:
    """Rows of the real model."""
    table = []
    for kind in REAL_KINDS:
        score = found["scores"][kind]
        label = (
            f"SmolLM2-135M, {found['site']}, {REAL['latents']} latents, {kind}, "
            f"{found['tokens'] / 1e3:.0f}k tokens of real text"
        )
        for name, what in (
            ("variance_explained", "variance explained"),
            ("active", "active latents a token"),
            ("dead", "share of latents never active on the held-out tokens"),
            ("loss_recovered", "loss recovered, zeros against the model's own"),
            ("loss_spliced", f"nats a token with the dictionary (own {score['loss']:.3f})"),
        ):
            table.append(single(f"{label}: {what}", score[name], unit="", n=score["tokens"]))
    return table
