"""Sparse dictionaries, measured: `python -m benchmarks.mechanism_features`.

Parts: `speed` (a training step against SAELens, sparsify and the encoder's own product), `recovery`
(features that are known to be there, against SAELens at equal tokens), `difference` (what was
planted in lab models, and null pairs), `real` (SmolLM2's middle layer). A peer whose environment
was not made (`benchmarks/peers/*.sh`) is named and left out. What takes long is kept item by item
under `.cache/mechanism_features`, and a killed measurement goes on.
"""

import argparse
import itertools
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.asking import ROOT, Peer, python_of
from benchmarks.rows import Row, show, single, spread, with_earlier
from benchmarks.superposition import SuperpositionRecipe, superposition
from plumbrule.mechanism.features.scoring import Recovery, recovery
from plumbrule.store import fingerprint, write_atomic

KEPT = ROOT / ".cache" / "mechanism_features"
PROGRAMS = {
    "ours": ("ours", "benchmarks.peers.features_ours"),
    "SAELens": ("sae_lens", "benchmarks.peers.features_sae_lens"),
    "sparsify": ("sparsify", "benchmarks.peers.features_sparsify"),
}
WIDTH, LATENTS, ACTIVE, BATCH = 512, 8192, 32, 1024
Choice = tuple[float, float, float | None]
CHOICES: tuple[Choice, ...] = (
    *((rate, window, None) for rate in (3e-3, 1e-2, 2e-2) for window in (0.05, 0.01)),
    (1e-2, 0.01, 0.95),
    (2e-2, 0.01, 0.95),
)
"""Learning rates, shares of the training after which a silent latent is dead, and second decays of
Adam (None: the side's own default), of which each side takes what is best for `topk` on a seed of
its own."""

CHOOSING, SEEDS = 100, (0, 1, 2)
KINDS = ("topk", "batch_topk")


def opened(names: Sequence[str], folder: Path, stack: ExitStack) -> dict[str, Peer]:
    """Sides whose environments are there."""
    sides = {}
    for name in names:
        environment, program = PROGRAMS[name]
        python = python_of(environment)
        if python is None:
            print(f"{name} is left out: run benchmarks/peers/{environment}.sh")
            continue
        peer = Peer(program, python=python, folder=folder, threads=1)
        sides[name] = stack.enter_context(peer)
    return sides


def speed_rows(*, quick: bool) -> list[Row]:
    """A training step, side by side on the same activations, one thread, processor time."""
    turns = 3 if quick else 9
    table = []
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        data = np.random.default_rng(0).normal(size=(BATCH, WIDTH)).astype(np.float32)
        np.save(folder / "activations.npy", data)
        sides = opened(list(PROGRAMS), folder, stack)
        seconds: dict[str, list[float]] = {}
        for turn in range(turns + 1):  # the first one warms up
            for name, job, kind in _timed(sides, turn):
                arguments: dict[str, Any] = {"latents": LATENTS}
                if job == "step":
                    arguments |= {"active": ACTIVE, "kind": kind}
                found = sides[name].ask(job, times=2, **arguments)["cpu"]
                if turn:
                    seconds.setdefault(f"{name} {job} {kind}", []).append(found)
    ours = seconds["ours step topk"]
    shape = f"d={WIDTH}, M={LATENTS}, k={ACTIVE}, batch {BATCH}, one thread"

    def against(other: str, mine: Sequence[float], measure: str, bound: float | None) -> None:
        if other not in seconds:
            return
        ratios = [theirs / own for own, theirs in zip(mine, seconds[other], strict=True)]
        own, theirs = (1e3 * statistics.median(each) for each in (mine, seconds[other]))
        table.append(
            spread(
                f"TopK step with Adam, {shape}: {measure}"
                if "batch" not in measure
                else f"{measure}, {shape}",
                ratios,
                unit=f"times as many tokens a second; ours {own:.0f} ms, theirs {theirs:.0f} ms",
                seeds=[0],
                target=f">= {bound}x" if bound else "",
                met=(lambda value: value >= bound) if bound else None,
            )
        )

    against("SAELens step topk", ours, "against SAELens", 4.0)
    against("sparsify step topk", ours, "against sparsify", 1.2)
    shares = [one / own for one, own in zip(seconds["ours product "], ours, strict=True)]
    table.append(
        spread(
            f"share of the encoder's own matrix product in a TopK step with Adam, {shape}",
            shares,
            unit="of processor time",
            seeds=[0],
            target=">= 70%",
            met=lambda value: value >= 0.7,
        )
    )
    against(
        "SAELens step batch_topk",
        seconds["ours step batch_topk"],
        "BatchTopK step with Adam: against SAELens",
        None,
    )
    return table


def _timed(sides: Mapping[str, Peer], turn: int) -> list[tuple[str, str, str]]:
    """What is timed in one turn, each time in another order."""
    jobs = [("ours", "product", ""), *((name, "step", "topk") for name in sides)]
    jobs += [(name, "step", "batch_topk") for name in sides if name != "sparsify"]
    return jobs if turn % 2 else jobs[::-1]


def kept(name: str, inputs: Any, work: Callable[[], Any]) -> Any:
    """What an item came to, worked out once."""
    path = KEPT / f"{name}-{fingerprint(inputs)[:16]}.json"
    if not path.exists():
        write_atomic(path, json.dumps({"inputs": inputs, "found": work()}))
    return json.loads(path.read_text("utf-8"))["found"]


def recovery_rows(*, quick: bool) -> list[Row]:
    """Known features recovered, each side at the settings that were best on another seed."""
    recipe = SuperpositionRecipe()
    drawn = 65_536 if quick else 196_608
    tokens = drawn * (1 if quick else 5)
    found: dict[tuple[str, str, int, Choice], Mapping[str, float]] = {}

    def measure(seed: int, wanted: Sequence[tuple[str, str, Choice]]) -> None:
        """Train what is not kept yet on one seed's data."""
        with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
            folder, sides = Path(place), dict[str, Peer]()
            made: list[Any] = []

            def work(side: str, given: Mapping[str, Any]) -> Mapping[str, float]:
                if not made:
                    made.append(superposition(recipe, drawn, seed=seed))
                    np.save(folder / "activations.npy", made[0].activations)
                if side not in sides:
                    sides.update(opened([side], folder, stack))
                values = sides[side].values("train", folder, **given)
                score = recovery(values["decoder"], made[0].directions)
                return {**_numbers(score), **{k: float(values[k]) for k in ("explained", "active")}}

            for side, kind, choice in wanted:
                if python_of(PROGRAMS[side][0]) is None:
                    continue
                given = {
                    "latents": recipe.features,
                    "active": round(recipe.active),
                    "tokens": tokens,
                    "batch": 1024,
                    "rate": choice[0],
                    "window": choice[1],
                    "seed": seed,
                    "kind": kind,
                }
                if choice[2] is not None:
                    given["decay"] = choice[2]
                found[side, kind, seed, choice] = kept(
                    "recovery",
                    [asdict(recipe), drawn, side, given],
                    lambda side=side, given=given: work(side, given),  # type: ignore[misc]
                )

    sides = ("ours", "SAELens")
    measure(CHOOSING, [(side, "topk", choice) for side in sides for choice in CHOICES])
    best = {
        side: max(
            (choice for choice in CHOICES if (side, "topk", CHOOSING, choice) in found),
            key=lambda choice: found[side, "topk", CHOOSING, choice]["mean_matched_cosine"],
            default=None,
        )
        for side in sides
    }
    seeds = SEEDS[:1] if quick else SEEDS
    for kind in KINDS:
        for seed in seeds:
            wanted = [(side, kind, at) for side in sides if (at := best[side]) is not None]
            measure(seed, wanted)
    table = []
    labels = {
        "mean_matched_cosine": "mean cosine with the matched latent (MCC)",
        "mean_max_cosine": "mean largest cosine (MMCS)",
        "found": "share with a matched cosine above 0.9",
        "explained": "variance explained",
    }
    size = f"512 true features in 64 dimensions, {tokens / 1e6:.2g}M tokens"
    for kind in KINDS:
        for name, label in labels.items():
            by_side = {
                side: [found[side, kind, seed, choice][name] for seed in seeds]
                for side in sides
                if (choice := best[side]) is not None
            }
            for side, values in by_side.items():
                table.append(
                    spread(
                        f"{kind}, {size}: {label}, {side}",
                        values,
                        unit=f"; learning rate, dead window, second decay {best[side]}",
                        seeds=seeds,
                    )
                )
            if len(by_side) == 2 and name == "mean_matched_cosine":
                differences = [
                    mine - theirs
                    for mine, theirs in zip(by_side["ours"], by_side["SAELens"], strict=True)
                ]
                table.append(
                    spread(
                        f"{kind}, {size}: {label}, ours less SAELens's",
                        differences,
                        unit="cosine; worst seed is judged",
                        seeds=seeds,
                        target=">= 0",
                        met=lambda value: value >= 0,
                        worst=min,
                    )
                )
    return table


def _numbers(score: Recovery) -> dict[str, float]:
    return {
        "mean_max_cosine": score.mean_max_cosine,
        "mean_matched_cosine": score.mean_matched_cosine,
        "found": score.found,
    }


def difference_part(*, quick: bool) -> list[Row]:
    """What changed between lab models, and what seems to between pairs without a change."""
    from benchmarks import mechanism_features_models as models

    def measured(kind: str, seed: int, against: tuple[str, int] | None = None) -> Any:
        inputs = [kind, seed, against, asdict(models.SETTINGS), models.POOL_SEED, models.PER_KIND]
        return kept("pair", inputs, lambda: models.pair(kind, seed, against=against))

    planted = [measured(*each) for each in (models.PLANTED[:1] if quick else models.PLANTED)]
    null = [measured(*models.NULLS[0])]
    if not quick:
        # The same data, another seed.
        null += [measured(*one, other) for one, other in itertools.combinations(models.NULLS, 2)]
    return models.difference_rows(planted, null)


def real_part(*, quick: bool) -> list[Row]:
    """SmolLM2's middle layer; left out where the model or the texts are not there."""
    from benchmarks import mechanism_features_models as models
    from benchmarks import real_ground

    if not (real_ground.root() / "smollm2").exists() or not models.DATA.exists():
        print("real is left out: there is no SmolLM2, or there are no texts in shared/data")
        return []
    tokens = 20_000 if quick else int(models.REAL["tokens"])
    inputs = {**models.REAL, "tokens": tokens}
    folder = KEPT / f"smollm2-{fingerprint(inputs)[:16]}"
    found = kept("real", inputs, lambda: models.real(folder, models.DATA, tokens=tokens))
    return models.real_rows(found)


def format_rows(*, quick: bool) -> list[Row]:
    """What others write with a dictionary that we saved, and we with theirs."""
    import torch

    from plumbrule.mechanism.features import (
        Dictionary,
        Origin,
        Reading,
        read_dictionary,
        save_dictionary,
    )

    del quick
    table = []
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator)

    reading = Reading(site="1.out")
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        data = draw(64, 32)
        np.save(folder / "activations.npy", data.numpy())
        sides = opened(["SAELens", "sparsify"], folder, stack)

        def row(label: str, ours: Any, theirs: np.ndarray) -> None:
            apart = float(np.abs(ours.numpy() - theirs).max())
            table.append(
                single(
                    f"largest difference of what is written, {label}",
                    apart,
                    unit=f"activations; span {float(np.ptp(theirs)):.2g}",
                    n=theirs.size,
                    target="<= 1e-4",
                    met=apart <= 1e-4,
                )
            )

        for kind in ("relu", "topk", "jumprelu") if "SAELens" in sides else ():
            made = Dictionary(
                kind=kind,
                encoder=draw(256, 32),
                encoder_bias=draw(256),
                decoder=draw(256, 32),
                decoder_bias=draw(32),
                threshold=draw(256).abs() if kind == "jumprelu" else None,
                active=8 if kind == "topk" else None,
                origin=Origin(reading=reading),
            )
            save_dictionary(made, folder / kind)
            theirs = sides["SAELens"].values("read", folder, name=kind)["written"]
            row(f"{kind} saved by us, read by SAELens", made.reconstruct(data), theirs)
        for side, kind in (("SAELens", "topk"), ("SAELens", "batch_topk"), ("sparsify", "topk")):
            if side in sides:
                name = f"{side} {kind}"
                theirs = sides[side].values("write", folder, name=name, kind=kind)["written"]
                ours = read_dictionary(folder / name, reading=reading).reconstruct(data)
                row(f"{kind} saved by {side}, read by us", ours, theirs)
    return table


PARTS: Mapping[str, Callable[..., list[Row]]] = {
    "speed": speed_rows,
    "formats": format_rows,
    "recovery": recovery_rows,
    "difference": difference_part,
    "real": real_part,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all")
    chosen = parser.parse_args(arguments)
    found: list[Row] = []
    for name, part in PARTS.items():
        if chosen.part in (name, "all"):
            found += part(quick=chosen.quick)
    show("Dictionaries", with_earlier(found, chosen.json), chosen.json)


if __name__ == "__main__":
    main()
