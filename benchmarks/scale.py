"""Work spread over processes, and killed: `python -m benchmarks.scale [--part PART]`.

Parts: `ray` (a small run over Ray on two workers against one process: bytes and wall time), `kills`
(the same with workers killed), `accelerate` (training by two processes, killed), `plan` (what
`--plan` says of tokens against what is taken), `memory` (of a comparison of two models of 4 GB that
take turns; needs 9 GB of disk), `database` (workers killed and PostgreSQL restarted under a run
whose paid answers lie there) and `files` (those of `plumbrule scale`, held against the schemas of
Kubernetes and SkyPilot in the environment that `benchmarks/peers/scale.sh` makes). Wall times mean
something on a machine with nothing else to do.
"""

import argparse
import json
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
from safetensors.numpy import load_file

from benchmarks.evidence import CONFIG
from benchmarks.peers.asking import python_of
from benchmarks.rows import Row, show, single, with_earlier
from benchmarks.scale_database import database_rows
from benchmarks.scale_memory import memory_rows
from benchmarks.scale_training import launched
from plumbrule.lab import village_prompts
from plumbrule.loop import RunConfig, align, plan
from plumbrule.recipes import village_oracle
from plumbrule.records import Prompt
from plumbrule.scaling import JobSettings, kubernetes_job, ray_workers, sky_task
from plumbrule.store import Fan, Shards, file_sha256, one_after_another

WORK = Path(__file__).parent.parent / ".cache" / "scale"
CONFIGURATION = replace(CONFIG, comparison=None, shard_size=16)
KILLS = 50
PARTS = ("ray", "kills", "files", "accelerate", "plan", "memory", "database")


def some_prompts() -> list[Prompt]:
    """Prompts of a small run."""
    return village_prompts(
        tempting=8, honesty=4, deserving=3, examined_tempting=2, examined_deserving=2
    )


def run(out: Path, fan: Fan, config: RunConfig = CONFIGURATION) -> tuple[dict[str, str], float]:
    """Hash of each record and each weight of a small run, and the seconds it took."""
    shutil.rmtree(out, ignore_errors=True)
    prompts = some_prompts()
    started = time.monotonic()
    align(config, prompts=prompts, out=out, oracle=village_oracle, fan=fan)
    seconds = time.monotonic() - started
    return hashes(out), seconds


def hashes(out: Path) -> dict[str, str]:
    """Hash of each record and each weight of a run."""
    files = [*(out / "stages").rglob("*.jsonl"), *(out / "models").rglob("*.safetensors")]
    return {str(path.relative_to(out)): file_sha256(path) for path in files}


def retries(out: Path) -> int:
    """Shards of a run that were done again."""
    folders = {path.parent for path in (out / "stages").rglob("*.jsonl")}
    return int(sum(Shards(each, {}).spent().get("retries", 0) for each in folders))


@contextmanager
def killing(out: Path, most: int, seed: int) -> Iterator[list[int]]:
    """Kill a worker of this process at its work, whenever a further shard of a run is done.

    Gives the processes that were killed.
    """
    killed: list[int] = []
    over, draw = threading.Event(), random.Random(seed)

    def kill() -> None:
        seen = 0
        while len(killed) < most and not over.wait(draw.uniform(0.0, 0.5)):
            done = len(list((out / "stages").rglob("*.jsonl")))
            at_work = [
                each
                for each in psutil.Process().children(recursive=True)
                if each.pid not in killed and "ray::Worker.do" in " ".join(_words(each))
            ]
            if at_work and done > seen:
                victim = draw.choice(at_work)
                victim.kill()
                killed.append(victim.pid)
                seen = done

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def same(name: str, target: str, ours: dict[str, str], theirs: dict[str, str]) -> Row:
    """A row that says whether two runs left the same bytes."""
    equal = ours == theirs
    return single(name, int(equal), unit="1 = the same", n=len(ours), target=target, met=equal)


def ray_rows() -> list[Row]:
    """One process against two workers."""
    alone, seconds = run(WORK / "alone", one_after_another)
    with ray_workers("local:2") as fan:
        fanned, fanned_seconds = run(WORK / "ray", fan)
    ratio = fanned_seconds / seconds
    return [
        same("files of a run over Ray on 2 workers, byte for byte", "the same", alone, fanned),
        single(
            "wall time over Ray on 2 workers, against one process",
            ratio, unit="ratio", n=1, target="<= 0.65x", met=ratio <= 0.65,
        ),
    ]  # fmt: skip


def kill_rows(most: int) -> list[Row]:
    """Workers killed while a run goes on."""
    alone = hashes(WORK / "alone") or run(WORK / "alone", one_after_another)[0]
    shutil.rmtree(WORK / "kills", ignore_errors=True)
    with ray_workers("local:2") as fan, killing(WORK / "kills", most, 0) as killed:
        fanned, _ = run(WORK / "kills", fan)
    name = "files of a run over Ray whose workers were killed, byte for byte"
    return [
        same(name, "the same", alone, fanned),
        single("workers killed in it", len(killed), unit="kills", n=1, target=f"{KILLS}",
               met=len(killed) >= KILLS),
        single("shards done again in it", retries(WORK / "kills"), unit="shards", n=1),
    ]  # fmt: skip


def database(kills: int) -> list[Row]:
    """The same with paid answers in a database that is restarted."""
    # Labels of an examination stay with the village's own judge: what is paid for is the critic.
    config = replace(CONFIGURATION, judge="lab:small")
    return database_rows(
        run, partial(ray_workers, "local:2"), killing, config, WORK / "database", kills
    )


def training_rows(kills: int) -> list[Row]:
    """Two processes of `accelerate`, killed and not, and one."""
    folders = {name: WORK / f"train-{name}" for name in ("one", "two", "killed")}
    launched(folders["one"], count=1)
    launched(folders["two"], count=2)
    killed = launched(folders["killed"], count=2, kills=kills)
    ours, theirs, one = (
        load_file(folders[name] / "model.safetensors") for name in ("killed", "two", "one")
    )
    apart = max(float(abs(theirs[name] - one[name]).max()) for name in one)
    equal = all(ours[name].tobytes() == theirs[name].tobytes() for name in theirs)
    return [
        single("weights of a training by two processes that were killed, byte for byte",
               int(equal), unit="1 = the same", n=killed, target="the same", met=equal),
        single("times that it was killed", killed, unit="kills", n=1, target="10",
               met=killed >= 10),
        single("largest difference of a weight between two processes and one", apart, unit="",
               n=len(one)),
    ]  # fmt: skip


def plan_rows() -> list[Row]:
    """What `--plan` says of tokens against what a run then took."""
    planned = plan(CONFIGURATION, prompts=some_prompts(), out=WORK / "planned")
    if not (WORK / "alone" / "report").exists():
        run(WORK / "alone", one_after_another)
    report = json.loads((WORK / "alone" / "report" / "report.json").read_text("utf-8"))
    taken = sum(each["tokens_generated"] for each in report["stages"])
    likely, most = (
        sum(each.stage.tokens_written for each in some) / taken
        for some in (planned.likely, planned.stages)
    )
    return [
        single("tokens written by a run, as planned over as taken", likely, unit="ratio", n=1,
               target="0.95 to 1.05", met=abs(likely - 1) <= 0.05),
        single("tokens written by a run, as planned at most over as taken", most, unit="ratio",
               n=1),
    ]  # fmt: skip


def file_rows() -> list[Row]:
    """Files that start a run elsewhere, as they are and with a field that nobody knows."""
    python = python_of("scale")
    if python is None:
        raise SystemExit("run `sh benchmarks/peers/scale.sh` first")
    settings = JobSettings(workers=8, gpus=1, accelerator="H100", claim="runs", bucket="s3://runs")
    rows = []
    for peer, write, known in (
        ("kubernetes-validate", kubernetes_job, "completionMode:"),
        ("skypilot", sky_task, "num_nodes:"),
    ):
        text = write(["run", "--out", "/work/runs/a"], settings)
        spoiled = text.replace(known, f"un{known}")
        for name, content, wanted in (("accepted", text, 0), ("spoiled and refused", spoiled, 1)):
            file = WORK / f"{peer}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            side = Path(__file__).parent / "peers" / "scale_side.py"
            ended = subprocess.run([python, side, peer, file], check=False).returncode
            rows.append(
                single(f"files {name} by the schemas of {peer}", int(ended == wanted),
                       unit="of 1", n=1, target="all", met=ended == wanted)
            )  # fmt: skip
    return rows


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    parts = asked.part or PARTS
    rows = [
        *(ray_rows() if "ray" in parts else []),
        *(kill_rows(asked.kills) if "kills" in parts else []),
        *(training_rows(min(asked.kills, 10)) if "accelerate" in parts else []),
        *(plan_rows() if "plan" in parts else []),
        *(memory_rows(WORK / "memory") if "memory" in parts else []),
        *(database(asked.kills) if "database" in parts else []),
        *(file_rows() if "files" in parts else []),
    ]
    show("Scale", with_earlier(rows, asked.json), asked.json)


if __name__ == "__main__":
    main()
