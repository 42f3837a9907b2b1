"""Reading and exchanging activations against other tools: `python -m benchmarks.mechanism_peers`.

The same random models, prompts and cells on every side; each in a process of its own with as many
threads, asked in turn. A peer whose environment was not made (`benchmarks/peers/*.sh`) is named and
left out, and one whose logits differ from ours is not compared.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.peers.asking import Peer, PeerError, python_of
from benchmarks.peers.compared import COMPARED, Compared, given
from benchmarks.peers.models import FAMILIES, VOCABULARY, write
from benchmarks.rows import Row, show, single, spread

Clock = Literal["wall", "cpu"]

LOGITS_AGREE = 1e-4
"""Largest difference of logits with which two sides count as one model."""

SCORES_AGREE = 1e-5
"""Largest difference of scores that counts as rounding."""

LONG = 256
"""Tokens of the prompt that memory is measured with."""

PROGRAMS = {
    "ours": ("ours", "benchmarks.peers.ours"),
    "TransformerBridge": ("transformer_lens", "benchmarks.peers.bridge"),
    "HookedTransformer": ("hooked_transformer", "benchmarks.peers.hooked"),
    "nnsight": ("nnsight", "benchmarks.peers.nnsight_side"),
}
"""By side, its environment and its program."""


def rows(*, quick: bool, threads: int = 1, clock: Clock = "wall") -> list[Row]:
    """How many times faster ours is, how far scores differ, and what a capture holds.

    Args:
        quick: Small models and few turns.
        threads: For every side's arithmetic.
        clock: Seconds passed, or seconds of the processor where others use it too.
    """
    table = []
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write(family, folder, quick=quick)
            table += _speed(family, folder, turns=3 if quick else 5, threads=threads, clock=clock)
            table += _memory(family, folder, threads=threads)
    return table


def _speed(family: str, folder: Path, *, turns: int, threads: int, clock: Clock) -> list[Row]:
    arguments = given()
    table = []
    with ExitStack() as stack:
        sides = _open(folder, threads, stack)
        ours = sides.pop("ours")
        table.append(_over_plain(family, ours, arguments["ids"], turns, clock))
        for name, peer in sides.items():
            label = f"{family}, {name}"
            mine, theirs = (
                side.values("plain", folder, **arguments["ids"]) for side in (ours, peer)
            )
            apart = float(np.abs(mine["logits"] - theirs["logits"]).max())
            if apart > LOGITS_AGREE:
                print(f"{label} is not compared: its logits differ from ours by {apart:.2g}")
                continue
            for each in COMPARED:
                if each.ours not in ours.jobs or each.theirs not in peer.jobs:
                    continue
                try:
                    table += _compare(
                        each, label, ours, peer, arguments[each.given], folder, turns, clock
                    )
                except PeerError as error:
                    print(f"{label}, {each.measure}: {error}"[:400])
    return table


def _open(folder: Path, threads: int, stack: ExitStack) -> dict[str, Peer]:
    """Every side whose environment is there."""
    sides = {}
    for name, (environment, program) in PROGRAMS.items():
        python = python_of(environment)
        if python is None:
            print(
                f"{name} is left out: run benchmarks/peers/{environment}.sh to make its environment"
            )
            continue
        peer = Peer(program, python=python, folder=folder, threads=threads)
        sides[name] = stack.enter_context(peer)
    return sides


def _over_plain(
    family: str, ours: Peer, arguments: Mapping[str, Any], turns: int, clock: Clock
) -> Row:
    """What capture costs over a pass without."""
    ratios = []
    for _ in range(turns):
        with_it = ours.ask("capture_stream", times=10, **arguments)[clock]
        ratios.append(with_it / ours.ask("plain", times=10, **arguments)[clock])
    return spread(
        f"time of capture, the stream behind each layer, over a plain pass, {family}",
        ratios,
        unit="ratio",
        seeds=[0],
        target="<= 1.05x",
        met=lambda value: value <= 1.05,
    )


def _compare(
    each: Compared,
    label: str,
    ours: Peer,
    peer: Peer,
    arguments: Mapping[str, Any],
    folder: Path,
    turns: int,
    clock: Clock,
) -> list[Row]:
    """How many times faster ours is, in turn, and how far what both give differs."""
    table = []
    mine = ours.values(each.ours, folder, **arguments)
    theirs = peer.values(each.theirs, folder, **arguments)
    if each.scores:
        table.append(
            agreement(f"{each.measure}, {label}", mine, theirs, judged=each.scores == "equal")
        )
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(turns):
        order = [("ours", ours, each.ours), ("theirs", peer, each.theirs)]
        for side, asked, job in order if turn % 2 == 0 else reversed(order):
            seconds[side].append(asked.ask(job, times=each.times, **arguments)[clock])
    ratios = [other / own for own, other in zip(seconds["ours"], seconds["theirs"], strict=True)]
    # Where a tool has no function of its own, what is compared is a program written here.
    own_function = "nnsight" not in label and not (each.theirs == "nodes" and "Hooked" in label)
    bound = each.at_least if own_function else None
    own, other = (statistics.median(seconds[side]) for side in ("ours", "theirs"))
    table.insert(
        0,
        spread(
            f"{each.measure}, {label}",
            ratios,
            unit=f"times faster; ours {1e3 * own:.4g} ms, theirs {1e3 * other:.4g} ms ({clock})",
            seeds=[0],
            target=f">= {bound}x" if bound else "",
            met=(lambda value: value >= bound) if bound else None,
        ),
    )
    return table


def agreement(
    label: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    *,
    judged: bool,
) -> Row:
    """How far two sides' scores differ at most, or how they correlate, where both have them.

    Args:
        label: What was scored, by whom.
        ours: Scores by name.
        theirs: The same.
        judged: Whether they are the same numbers; else they estimate the same in different ways.

    Raises:
        PeerError: They have nothing in common.
    """
    names = [name for name in ours if name in theirs]
    if not names:
        raise PeerError(f"nothing in common between {sorted(ours)[:3]} and {sorted(theirs)[:3]}")
    first, second = (
        np.concatenate([np.ravel(side[name]).astype(float) for name in names])
        for side in (ours, theirs)
    )
    apart = float(np.abs(first - second).max())
    correlation = float(np.corrcoef(first, second)[0, 1])
    if not judged:
        return single(
            f"correlation of scores, {label}",
            correlation,
            unit=f"over scores; largest difference {apart:.3g}, span {float(np.ptp(first)):.3g}",
            n=len(first),
        )
    return single(
        f"largest difference of scores, {label}",
        apart,
        unit=f"logits; scores span {float(np.ptp(first)):.3g}, correlation {correlation:.8f}",
        n=len(first),
        target=f"<= {SCORES_AGREE}",
        met=apart <= SCORES_AGREE,
    )


def _memory(family: str, folder: Path, *, threads: int) -> list[Row]:
    """What a capture of the stream holds, against full caches, each in a process of its own."""
    ids = np.random.default_rng(0).integers(1, VOCABULARY, LONG).tolist()
    measured = {}
    for label, name, job in (
        ("plain", "ours", "plain"),
        ("ours", "ours", "capture_stream"),
        ("TransformerBridge", "TransformerBridge", "capture_all"),
        ("HookedTransformer", "HookedTransformer", "capture_all"),
    ):
        environment, program = PROGRAMS[name]
        python = python_of(environment)
        if python is None:
            continue
        with Peer(program, python=python, folder=folder, threads=threads) as peer:
            peer.ask("plain", ids=ids[:1])
            measured[label] = peer.ask(job, ids=ids)
    plain, ours = measured.pop("plain"), measured.pop("ours")
    table = []
    for name, theirs in measured.items():
        for what, key in (("held", "held_bytes"), ("grown by at the peak", "peak_bytes")):
            if ours[key] is None or not theirs[key]:
                continue
            share = ours[key] / theirs[key]
            sizes = f"ours {ours[key] / 1e6:.4g} MB, theirs {theirs[key] / 1e6:.4g} MB"
            judged = key == "held_bytes"
            if not judged:
                sizes += f", a plain pass {plain[key] / 1e6:.4g} MB"
            table.append(
                single(
                    f"memory {what}, the stream behind each layer over the full cache, "
                    f"{family}, {name}",
                    share,
                    unit=f"ratio; {sizes}",
                    n=1,
                    target="<= 1/20" if judged else "",
                    met=share <= 0.05 if judged else None,
                )
            )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    chosen = parser.parse_args(arguments)
    found = rows(quick=chosen.quick, threads=chosen.threads, clock=chosen.clock)
    show("Against other tools", found, chosen.json)


if __name__ == "__main__":
    main()
