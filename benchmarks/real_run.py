"""`run` on a real model: which critic works, how fast replies are judged, and what training does.

`python -m benchmarks.real_run [--quick] --json FILE` prints a table and writes its rows. It works
in a folder that is kept (`--work`), and goes on where it was interrupted.
"""

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml

from benchmarks.real_ground import model_path, open_real, root
from benchmarks.real_run_prompts import sets
from benchmarks.rows import Row, estimated, show, single, spread
from plumbrule.constitution import load_constitution
from plumbrule.judging import JudgeTrial, conclude, declines, known_replies, load_prompts, try_judge
from plumbrule.models import LanguageModel, Sampling, open_model
from plumbrule.records import Message, Prompt, from_json, to_json
from plumbrule.statistics import clopper_pearson, paired_proportions
from plumbrule.store import derive_seed, write_atomic

BEFORE = "4f3e32b"
"""The commit that "today" means: before prompts shared what they begin with."""

CRITICS = ("smollm2", "qwen2")
"""Who is tried as a critic; the one that works under most principles teaches."""

LIMIT_MINUTES = 30
LIMIT_GB = 4.0

REPLIES = Sampling(temperature=0.7, max_new_tokens=64)
"""How replies are drawn to measure what training did, as in the recipe `small`."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="The same work, smaller.")] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Where rows are written.")] = None,
    work: Annotated[Path | None, typer.Option("--work", help="Folder that is kept.")] = None,
) -> None:
    """Measure a run on SmolLM2."""
    folder = work or root() / ("real_run_quick" if quick else "real_run")
    folder.mkdir(parents=True, exist_ok=True)
    known = sets(24 if quick else 90, 8 if quick else 30, 30 if quick else 120, seed=0)
    trials = {name: tried(name, folder) for name in CRITICS}
    best = max(CRITICS, key=lambda name: (len(trials[name].working), name == "smollm2"))
    rows = [row for name in CRITICS for row in critic_rows(name, trials[name])]
    rows += grading_rows(folder, exchanges=3 if quick else 8, repetitions=1 if quick else 2)
    rows += run_rows(folder, known.run, best, able=bool(trials[best].working), quick=quick)
    rows += outcome_rows(folder, known.outcome)
    show("`run` on SmolLM2", rows, out)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What a step found, from its file where it was done before."""
    if not path.exists():
        write_atomic(path, json.dumps(make(), indent=1) + "\n")
    return json.loads(path.read_text(encoding="utf-8"))


def tried(name: str, folder: Path) -> JudgeTrial:
    """The trial of a real model as a critic, under the shipped constitution and prompt set."""
    law, words = load_constitution("default"), load_prompts("default")

    def make() -> Any:
        model = open_real(name)
        known = known_replies(law)
        answers = try_judge(model, known, law, prompts=words, seeds=[0] * len(known))
        return to_json(conclude(model.identity, answers, law))

    path = folder / f"trial-{name}-{law.sha256[:8]}-{words.sha256[:8]}.json"
    return from_json(JudgeTrial, kept(path, make), origin=str(path))


def critic_rows(name: str, trial: JudgeTrial) -> list[Row]:
    """What a critic can tell."""
    tested = trial.tested
    areas = [each.auroc.value for each in tested if each.auroc]
    rows = [
        single(
            f"{name} as critic: principles on which it does better than chance",
            float(len(trial.working)),
            unit=f"of {len(tested)} principles",
            n=len(tested),
        ),
        spread(
            f"{name} as critic: AUROC of its log-odds, by principle",
            areas,
            unit="median, least and most over principles",
            seeds=[0],
        ),
    ]
    for field, said in (
        ("plain_sensitivity", "broken replies found, by the likelier answer"),
        ("plain_specificity", "kept replies cleared, by the likelier answer"),
        ("sensitivity", "broken replies found, by log-odds and border"),
        ("specificity", "kept replies cleared, by log-odds and border"),
    ):
        found = [getattr(each, field) for each in tested]
        hits = sum(round(each.value * each.n) for each in found)
        total = sum(each.n for each in found)
        pooled = clopper_pearson(hits, total, unit="share")
        rows.append(estimated(f"{name} as critic: {said}", pooled))
    return rows


def grading_rows(folder: Path, *, exchanges: int, repetitions: int) -> list[Row]:
    """The first examination, then and now: the same replies under all principles."""
    given = kept(folder / f"exchanges-{exchanges}.json", lambda: _exchanges(exchanges))
    old = _old_source(folder)
    words = load_prompts("default").content.model_dump(mode="json", exclude_none=True)
    same = {key: value for key, value in words.items() if key not in ("grade_again", "applies")}
    path = folder / "same_prompts.yaml"
    path.write_text(yaml.safe_dump(same, sort_keys=False), encoding="utf-8")
    jobs = {
        "then, same words": (old, str(path)),
        "now, same words": (None, str(path)),
        "then, as shipped": (old, "default"),
        "now, as shipped": (None, "default"),
    }
    found: dict[str, list[Mapping[str, Any]]] = {name: [] for name in jobs}
    for turn in range(repetitions):
        for name, (source, prompts) in jobs.items():  # one after the other, so that noise is shared
            file = folder / f"grading-{turn}-{name.replace(', ', '-').replace(' ', '_')}.json"
            make = partial(_graded, folder, source, prompts, given)
            found[name].append(kept(file, make))
    rows = []
    for words_, target in (("same words", "<= 1/5"), ("as shipped", "<= 1/5")):
        pairs = zip(found[f"then, {words_}"], found[f"now, {words_}"], strict=True)
        ratios = [now["seconds"][0] / then["seconds"][0] for then, now in pairs]
        rows.append(
            spread(
                f"first examination, {words_}: processor time now over then",
                ratios,
                unit=f"ratio, {found['now, same words'][0]['questions']} questions",
                seeds=list(range(repetitions)),
                target=target,
                met=lambda value: value <= 0.2,
            )
        )
    then, now = found["then, same words"][0], found["now, same words"][0]
    alike = sum(a == b for a, b in zip(then["verdicts"], now["verdicts"], strict=True))
    apart = max(
        abs((a or 0.0) - (b or 0.0))
        for a, b in zip(then["probabilities"], now["probabilities"], strict=True)
    )
    total = len(now["verdicts"])
    return [
        *rows,
        single(
            "same verdicts in the same words",
            alike / total,
            unit="share of judgments",
            n=total,
            target="all",
            met=alike == total,
        ),
        single(
            "largest difference of a probability, same words", apart, unit="probability", n=total
        ),
    ]


def _exchanges(count: int) -> list[list[str]]:
    """Replies of SmolLM2 to prompts of the constitution, to be graded."""
    law = load_constitution("default")
    requests = [principle.probes[0] for principle in law.principles][:count]
    drawn = _drawn(open_real("smollm2"), requests)
    return [[request, reply] for request, reply in zip(requests, drawn, strict=True)]


def _drawn(model: LanguageModel, requests: Sequence[str]) -> list[str]:
    replies = model.sample(
        [(Message("user", request),) for request in requests],
        sampling=REPLIES,
        seeds=[derive_seed(0, request) for request in requests],
    )
    return [reply.text for reply in replies]


def _answers(where: Path, prompts: Sequence[Prompt]) -> list[str]:
    """Replies of a model on disk."""
    model = open_model(str(where), dtype="float32", device="cpu")
    return _drawn(model, [each.dialogue[-1].content for each in prompts])


def _old_source(folder: Path) -> Path:
    """The package as it was, from the repository's own history."""
    target = folder / f"source-{BEFORE}"
    if not target.exists():
        archive = subprocess.run(
            ["git", "archive", BEFORE, "src"],
            cwd=Path(__file__).parent.parent,
            check=True,
            capture_output=True,
        ).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(target, filter="data")
    return target / "src"


def _graded(
    folder: Path, source: Path | None, prompts: str, exchanges: Sequence[Sequence[str]]
) -> Any:
    """Grade in a process of its own, with another version of the package where one is given."""
    job = folder / "job.json"
    constitution = Path(load_constitution.__code__.co_filename).parent / "default.yaml"
    content = {
        "model": str(model_path("smollm2")),
        "constitution": str(constitution),
        "prompts": prompts,
        "exchanges": exchanges,
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "repetitions": 1,
    }
    job.write_text(json.dumps(content), encoding="utf-8")
    script = Path(__file__).parent / "real_run_grading.py"
    path = os.pathsep.join(filter(None, [str(source or ""), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, str(script), str(job)],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])


def run_rows(
    folder: Path, prompts: Sequence[Prompt], critic: str, *, able: bool, quick: bool
) -> list[Row]:
    """The whole run, as a user types it."""
    out, file = folder / "run", folder / "prompts.jsonl"
    lines = [
        {
            "prompt": each.dialogue[-1].content,
            "id": each.id,
            "deserves_help": each.deserves_help,
            "group": each.group,
            "kind": each.kind,
            "held_out": each.held_out,
        }
        for each in prompts
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    command = [
        "run", "--recipe", "small", "--model", str(model_path("smollm2")), "--prompts", str(file),
        "--critic", str(model_path(critic)), "--out", str(out),
        *([] if able else ["--teach-anyway"]),
    ]  # fmt: skip
    took = kept(folder / "run.json", lambda: _run(command, out))
    report = json.loads((out / "report" / "report.json").read_text(encoding="utf-8"))
    minutes = report["seconds"] / 60
    gigabytes = took["peak_rss_bytes"] / 1e9
    trained = next(line for line in report["summary"] if "were revised" in line)
    rows = [
        single(
            f"whole run, {len(prompts)} prompts, shipped constitution, critic {critic}",
            minutes,
            unit="minutes in its stages",
            n=len(prompts),
            target="" if quick else f"<= {LIMIT_MINUTES}",
            met=None if quick else minutes <= LIMIT_MINUTES,
        ),
        single(
            "peak resident memory of the run",
            gigabytes,
            unit="GB",
            n=1,
            target=f"<= {LIMIT_GB:.0f}",
            met=gigabytes <= LIMIT_GB,
        ),
    ]
    if took["planned_minutes"]:
        rows.append(
            single(
                "minutes taken over minutes planned",
                minutes / took["planned_minutes"],
                unit="ratio; the plan is an upper end",
                n=1,
            )
        )
    sys.stdout.write(trained + "\n")
    return rows


def _run(command: Sequence[str], out: Path) -> dict[str, Any]:
    started = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", "from plumbrule.cli import main; main()", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.returncode not in (0, 1):
        raise RuntimeError(f"the run ended with {process.returncode}: {process.stderr[-800:]}")
    report = json.loads((out / "report" / "report.json").read_text(encoding="utf-8"))
    planned = [line for line in process.stderr.splitlines() if "together, at most" in line]
    return {
        "wall_minutes": (time.monotonic() - started) / 60,
        "planned_minutes": float(planned[-1].split()[-1]) if planned else None,
        "peak_rss_bytes": report["peak_rss_bytes"],
        "exit": process.returncode,
    }


def outcome_rows(folder: Path, prompts: Sequence[Prompt]) -> list[Row]:
    """What training did to refusals, on prompts of kinds that it never saw."""
    replies: dict[str, list[str]] = {}
    for name, where in (
        ("before", model_path("smollm2")),
        ("supervised", folder / "run" / "models" / "supervised"),
        ("after", folder / "run" / "models" / "final"),
    ):
        replies[name] = kept(folder / f"outcome-{name}.json", partial(_answers, where, prompts))
    rows = []
    for group in dict.fromkeys(each.group for each in prompts):
        places = [at for at, each in enumerate(prompts) if each.group == group]
        said = {name: [declines(texts[at]) for at in places] for name, texts in replies.items()}
        rows += [
            estimated(
                f"{group}, held-out kinds: replies that decline, {name}",
                clopper_pearson(sum(hits), len(hits), unit="share"),
            )
            for name, hits in said.items()
        ]
        moved = paired_proportions(
            np.array(said["before"]), np.array(said["after"]), unit="change of the share"
        )
        rows.append(estimated(f"{group}: change of declining, after minus before", moved))
    return rows


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    typer.run(main)
