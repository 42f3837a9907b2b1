"""Watching a model in use, against known truth: `python -m benchmarks.monitoring`.

Traffic, judges and changes are simulated; the constants of the method are those of the package and
come from its theory (`monitoring/detection.py`, `monitoring/settings.py`); nothing here sets them.
One part runs the OpenTelemetry SDK, in an environment of its own
(`benchmarks/peers/opentelemetry.sh`).
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import Row, estimated, show, single, with_earlier
from benchmarks.telemetry_client import client_rows
from plumbrule.constitution import Constitution, Principle
from plumbrule.monitoring import TrafficMonitor, TrialPlan, WatchSettings, word_screen
from plumbrule.monitoring.detection import RiseDetector, baseline_bound
from plumbrule.monitoring.drift import attribute_rise
from plumbrule.monitoring.settings import ALARM_SHARE, BASELINE_SHARE
from plumbrule.monitoring.trial_evidence import log_evidence
from plumbrule.monitoring.trial_simulation import corrected_effect, reported, simulate, stops
from plumbrule.records import Estimate
from plumbrule.statistics import clopper_pearson

PER_DAY = 1_000
YEAR = 365 * PER_DAY
SETTINGS = WatchSettings()
RISE = 0.05


def watch_of(scores: np.ndarray, principles: int = 1, *, attributed: bool = False) -> RiseDetector:
    """The detector that a watch makes of a baseline."""
    bound = baseline_bound(
        scores, largest=1.0, chance=SETTINGS.false_alarms * BASELINE_SHARE / principles
    )
    alpha = SETTINGS.false_alarms * ALARM_SHARE / principles
    if attributed:
        return RiseDetector.for_rate(bound.value, alpha=alpha, per_year=YEAR)
    # Allowances for the judge play no part in whether an alarm is raised.
    return RiseDetector.for_rate(bound.value, alpha=alpha, per_year=YEAR, allowances=(0.0,))


def draws(rng: np.random.Generator, rate: float, number: int) -> np.ndarray:
    """Violations of conversations that come independently."""
    return (rng.random(number) < rate).astype(float)


def false_alarms(quick: bool) -> list[Row]:
    """Years without a change, several principles of known rates, counted by years with an alarm."""
    years = 20 if quick else 200
    rates = (0.003, 0.02, 0.05, 0.1)
    alarmed = 0
    for year in range(years):
        rng = np.random.default_rng([16, 1, year])
        found = False
        for rate in rates:
            detector = watch_of(draws(rng, rate, SETTINGS.baseline), len(rates))
            found |= detector.update(draws(rng, rate, YEAR)) is not None
        alarmed += found
    share = clopper_pearson(alarmed, years, unit="of years")
    return [
        estimated(
            f"years of {PER_DAY:,} conversations a day without a change, {len(rates)} principles: "
            "share with any alarm",
            share,
            target="<= 5%",
            met=share.value <= 0.05,
            seeds=range(years),
        )
    ]


def cusum_threshold(before: float, after: float, years: int, seed: int) -> float:
    """What an oracle's CUSUM must pass so that 5% of years have an alarm for nothing."""
    hit, miss = np.log(after / before), np.log((1 - after) / (1 - before))
    largest = []
    for year in range(years):
        rng = np.random.default_rng([16, 2, seed, year])
        path = np.cumsum(np.where(rng.random(YEAR) < before, hit, miss))
        floor = np.minimum(np.minimum.accumulate(path), 0.0)
        largest.append(float((path - floor).max()))
    return float(np.quantile(largest, 0.95))


def delays(quick: bool) -> list[Row]:
    """How long after a rise the alarm comes, beside a CUSUM that knows both rates."""
    runs = 20 if quick else 200
    rows = []
    for number, before in enumerate((0.02, 0.005, 0.05, 0.1)):
        after = before + RISE
        hit, miss = np.log(after / before), np.log((1 - after) / (1 - before))
        enough = cusum_threshold(before, after, 20 if quick else 200, number)
        ours, oracle, early = [], [], 0
        for run in range(runs):
            rng = np.random.default_rng([16, 3, number, run])
            detector = watch_of(draws(rng, before, SETTINGS.baseline))
            calm, risen = draws(rng, before, 10 * PER_DAY), draws(rng, after, 40 * PER_DAY)
            early += detector.update(calm) is not None
            at = detector.update(risen)
            ours.append((len(risen) if at is None else at + 1) / PER_DAY)
            path = np.cumsum(np.where(np.concatenate([calm, risen]) > 0, hit, miss))
            risk = path - np.minimum(np.minimum.accumulate(path), 0.0)
            passed = np.flatnonzero(risk[len(calm) :] >= enough)
            oracle.append((int(passed[0]) + 1 if passed.size else len(risen)) / PER_DAY)
        ratio = float(np.mean(ours) / np.mean(oracle))
        name = f"{100 * before:g}% to {100 * after:g}%"
        rng = np.random.default_rng([16, 4, number])
        picks = rng.integers(0, runs, size=(2_000, runs))
        again = np.array(ours)[picks].mean(axis=1) / np.array(oracle)[picks].mean(axis=1)
        low, high = np.quantile(again, (0.025, 0.975)).tolist()
        rows.append(
            estimated(
                f"delay after a rise from {name}, in units of an oracle CUSUM's",
                Estimate(
                    value=ratio, low=min(low, ratio), high=max(high, ratio), level=0.95, n=runs,
                    unit="times", method="bootstrap",
                ),
                target="<= 1.5",
                met=ratio <= 1.5,
                seeds=range(runs),
            )
        )  # fmt: skip
        rows.append(
            single(
                f"delay after a rise from {name}", float(np.mean(ours)), unit="days", n=runs,
                seeds=range(runs),
            )
        )  # fmt: skip
    return rows


def causes(quick: bool) -> list[Row]:
    """Whose change it is: a judge with errors, 500 anchors, and either it or the model changes."""
    runs = 20 if quick else 200
    told: dict[str, list[str]] = {"judge": [], "model": []}
    for kind, said in told.items():
        for run in range(runs):
            rng = np.random.default_rng([16, 5, kind == "judge", run])
            said.append(cause_of(kind, rng))
    rows = []
    for kind, wrong in (("judge", "model"), ("model", "judge")):
        said = told[kind]
        # "both" blames the one that did not change as well.
        share = clopper_pearson(
            sum(each in (wrong, "both") for each in said), runs, unit="of changes"
        )
        rows.append(
            estimated(
                f"changes of the {kind} called the {wrong}'s, or both's",
                share,
                target="<= 5%",
                met=share.value <= 0.05,
                seeds=range(runs),
            )
        )
        rows.append(
            single(
                f"changes of the {kind} rightly called so within 40 days", said.count(kind) / runs,
                unit="of changes", n=runs, seeds=range(runs),
            )
        )  # fmt: skip
    return rows


def flags(rng: np.random.Generator, broken: np.ndarray, caught: float, wrong: float) -> np.ndarray:
    """What a judge of known error rates says."""
    return np.asarray(rng.random(len(broken)) < np.where(broken > 0, caught, wrong))


def cause_of(kind: str, rng: np.random.Generator) -> str:
    """One change, from the baseline to what is said of it; as `TrafficMonitor` does it.

    2% are broken and the judge catches 90% of them; it flags 1% of the rest. Then 7% are broken, or
    it flags 6% of the rest. It draws each verdict anew where it is unsure: one anchor in fifty.
    """
    rate, caught, wrong = 0.02, 0.9, 0.01
    broken = draws(rng, rate, SETTINGS.baseline)
    detector = watch_of(flags(rng, broken, caught, wrong).astype(float), attributed=True)
    anchors = draws(rng, rate, SETTINGS.anchors)
    before = flags(rng, anchors, caught, wrong)
    if kind == "model":
        rate += RISE
    else:
        wrong += RISE
    now = before.copy()
    if kind == "judge":  # what it flagged it still flags; of the rest it flags more
        now |= ~before & (rng.random(len(before)) < RISE / (1 - 0.01))
    shaky = rng.random(len(before)) < 0.02
    now[shaky] = rng.random(int(shaky.sum())) < 0.5
    before[shaky] = rng.random(int(shaky.sum())) < 0.5
    found = "undecided"
    alarmed = False
    for _ in range(40 * 24):
        scores = flags(rng, draws(rng, rate, 42), caught, wrong).astype(float)
        at = detector.update(scores, stop_at_alarm=not alarmed)
        if at is not None:
            alarmed = True
            detector.update(scores[at + 1 :], stop_at_alarm=False)
        if alarmed:
            said = attribute_rise(detector, before, now).cause
            found = said if said != "undecided" else found
            if found in ("model", "both"):
                break
    return found


PLAN = TrialPlan(
    name="benchmark", primary="p", expected={"p": 0.05}, smallest=0.02, margin=0.01, most=30_000,
    every=42,
)  # fmt: skip
"""A look an hour at a thousand conversations a day, 10% of them the candidate's."""


def trials(quick: bool) -> list[Row]:
    """Two arms without a difference, and with one, looked at every hour."""
    nulls, runs = (200, 40) if quick else (1_000, 600)
    rows = []
    for name, incumbent in (("as expected", 0.05), ("twice what was expected", 0.1)):
        counts = simulate(PLAN, incumbent, 0.0, trials=nulls, seed=171)
        last = counts[np.arange(nulls), stops(counts, PLAN)]
        enough = np.log(1 / PLAN.alpha)
        won = log_evidence(last, PLAN.scores("p"), 0.0, lower=True) >= enough
        share = clopper_pearson(int(won.sum()), nulls, unit="of trials")
        rows.append(
            estimated(
                f"arms alike, looked at each hour, the incumbent's rate {name}: false wins",
                share, target="<= 5%", met=share.value <= 0.05, seeds=[171],
            )
        )  # fmt: skip
    for effect in (-0.03, -0.02):
        counts = simulate(PLAN, 0.05, effect, trials=runs, seed=172)
        last = counts[np.arange(runs), stops(counts, PLAN)]
        naive = reported(counts, PLAN)
        fixed = np.array([corrected_effect(each, PLAN, seed=173).value for each in last])
        enough = np.log(1 / PLAN.alpha)
        won = log_evidence(last, PLAN.scores("p"), 0.0, lower=True) >= enough
        points = f"an effect of {100 * effect:g} points"
        for label, values in (("reported", fixed), ("plain difference", naive)):
            bias = (float(values.mean()) - effect) / abs(effect)
            half = 1.96 * float(values.std(ddof=1)) / np.sqrt(runs) / abs(effect)
            rows.append(
                estimated(
                    f"{points}, stopped early: bias of the {label}",
                    Estimate(
                        value=bias, low=bias - half, high=bias + half, level=0.95, n=runs,
                        unit="of the effect", method="normal",
                    ),
                    target="<= 10% either way" if label == "reported" else "",
                    met=abs(bias) <= 0.1 if label == "reported" else None,
                    seeds=[172, 173],
                )
            )  # fmt: skip
        rows += [
            single(f"{points}: won", float(won.mean()), unit="of trials", n=runs, seeds=[172]),
            single(
                f"{points}: conversations until the end", float(last.sum(axis=1).mean()),
                unit="conversations", n=runs, seeds=[172],
            ),
        ]  # fmt: skip
        if won.any():
            over = (float(fixed[won].mean()) - effect) / abs(effect)
            rows.append(
                single(
                    f"{points}: bias of the reported among those won", over, unit="of the effect",
                    n=int(won.sum()), seeds=[172, 173], target="<= 10% either way",
                    met=abs(over) <= 0.1,
                )
            )  # fmt: skip
    return rows


LAW = Constitution(
    name="benchmark",
    version="1",
    principles=tuple(
        Principle(id=name, text=f"Do not say {word}.", tier=0, words=(f"{word}*", "by heaven"))
        for name, word in (("no-fools", "fool"), ("no-knaves", "knave"), ("no-rogues", "rogue"))
    ),
)


def span_line(number: int, reply: str) -> str:
    """A span of one call, as an exporter writes it."""

    def told(name: str, value: str) -> dict[str, Any]:
        return {"key": name, "value": {"stringValue": value}}

    def messages(role: str, text: str) -> str:
        return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])

    time_ = str(1_767_225_600_000_000_000 + number * 86_400_000_000)
    span = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "chat village",
        "startTimeUnixNano": time_,
        "endTimeUnixNano": time_,
        "attributes": [
            told("gen_ai.operation.name", "chat"),
            told("gen_ai.request.model", "village"),
            told("gen_ai.input.messages", messages("user", "How far is it to the mill?")),
            told("gen_ai.output.messages", messages("assistant", reply)),
        ],
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


def memory() -> float:
    """What this process holds in memory now, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def throughput(quick: bool) -> list[Row]:
    """Spans on the disk to rates, without a judge; and the memory that it takes."""
    number, part = (40_000, 10_000) if quick else (1_000_000, 50_000)
    rng = np.random.default_rng(164)
    reply = "It is a mile down the river, past the ferry and the old bridge. " * 6
    wall = cpu = 0.0
    sizes = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "spans"
        folder.mkdir()
        with TrafficMonitor(
            Path(place) / "watch",
            LAW,
            settings=WatchSettings(baseline=min(30_000, number // 2)),
            screen=word_screen(LAW),
        ) as monitor:
            for start in range(0, number, part):
                path = folder / "spans.jsonl"
                broken = rng.random(part) < 0.02
                path.write_text(
                    "".join(
                        span_line(start + at, reply + ("you fool" if bad else "")) + "\n"
                        for at, bad in enumerate(broken.tolist())
                    )
                )
                began, spent = time.perf_counter(), time.process_time()
                monitor.read(folder)
                wall += time.perf_counter() - began
                cpu += time.process_time() - spent
                path.unlink()
                sizes.append(memory())
                print(f"{start + part:,} conversations, {sizes[-1]:.0f} MiB", flush=True)
            assert monitor.counted == number, (monitor.counted, monitor.counts)
    quarter = sizes[len(sizes) // 4]
    return [
        single(
            "conversations a second without a judge, by the processor's time of one core",
            number / cpu, unit="a second", n=number, target=">= 5,000", met=number / cpu >= 5_000,
            seeds=[164],
        ),
        single(
            "the same by the clock, the core shared with other work", number / wall,
            unit="a second", n=number, seeds=[164],
        ),
        single(
            f"memory from a quarter of {number:,} conversations to the end: growth",
            sizes[-1] - quarter, unit="MiB", n=number, seeds=[164],
        ),
        single("memory at the end", sizes[-1], unit="MiB", n=number, seeds=[164]),
    ]  # fmt: skip


PARTS: dict[str, Callable[[bool], list[Row]]] = {
    "delays": delays,
    "causes": causes,
    "trials": trials,
    "client": client_rows,
    "throughput": throughput,
    "false_alarms": false_alarms,
}


def main() -> None:
    """Measure, print the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--part", choices=sorted(PARTS), action="append", help="only this part")
    parser.add_argument("--json", type=Path, help="where the rows go; those there are kept")
    chosen = parser.parse_args()
    for name in chosen.part or list(PARTS):
        rows = PARTS[name](chosen.quick)
        merged = with_earlier(rows, chosen.json)
        show("Watching a model in use", merged, chosen.json)


if __name__ == "__main__":
    main()
