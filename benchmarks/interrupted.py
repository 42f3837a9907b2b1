"""Kill a run at random moments, give the same command again, and look at what it did twice."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.oracle_endpoint import Critic, serve
from plumbrule.store import file_sha256


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """What came of a run that was killed again and again."""

    kills: int
    same_weights: bool
    shards_repeated: int
    calls_repeated: int
    """Calls made again although their answer was on disk."""

    calls_lost: int
    """Calls in flight when the process died: paid, and their answers never seen."""

    shards: int
    calls: int


def child(out: Path, critic: str) -> None:
    """One run of a small village with a paid critic."""
    from plumbrule.lab import village_prompts
    from plumbrule.loop import align
    from plumbrule.recipes import village, village_oracle

    config = village().config
    config = replace(
        config,
        model="lab:nano",
        critic=critic,
        judge="lab:nano",
        shard_size=16,
        dpo=replace(config.dpo, checkpoint_every=2, batch_size=8),
        supervised=replace(config.supervised, checkpoint_every=2, batch_size=8),
        reward=replace(config.reward, checkpoint_every=2, batch_size=8),
    )
    prompts = village_prompts(
        tempting=6, honesty=3, deserving=4, examined_tempting=3, examined_deserving=3
    )
    align(config, prompts=prompts, out=out, oracle=village_oracle)


def interrupt(folder: Path, *, kills: int, seed: int) -> Interrupted:
    """Run once in peace and once under fire, and compare.

    Args:
        folder: An empty folder to work in.
        kills: How often the second run is killed, at moments spread over its whole length.
        seed: Decides the moments.
    """
    critic, rng = Critic(), random.Random(seed)
    out = folder / "killed" / "run"
    repeated_shards = repeated_calls = 0
    with serve(critic) as spec:
        started = time.monotonic()
        subprocess.run(_command(folder / "calm" / "run", spec), check=True)
        length = time.monotonic() - started
        calm_calls = len(critic.calls)
        done = 0
        while done < kills:
            before, finished, asked = _shards(out), _finished(out, critic), len(critic.calls)
            # From before the first import to beyond what is left to do.
            if _killed(_command(out, spec), after=rng.uniform(0.1, 1.1) * length * 0.6):
                done += 1
            after = _shards(out)
            repeated_shards += sum(after.get(path) != state for path, state in before.items())
            repeated_calls += sum(call in finished for call in critic.calls[asked:])
            if done < kills and (out / "report" / "report.json").exists():
                # The run was over before the last kill: begin another one for those left.
                out = folder / f"killed-{done}" / "run"
        subprocess.run(_command(out, spec), check=True)
        calls = len(critic.calls) - calm_calls
        kept = sum(_rows(path) for path in folder.glob("killed*/.run.calls.db"))
    finals = sorted(folder.glob("killed*/run/models/final/model.safetensors"))
    calm = file_sha256(folder / "calm" / "run" / "models" / "final" / "model.safetensors")
    return Interrupted(
        kills=kills,
        same_weights=all(file_sha256(path) == calm for path in finals) and bool(finals),
        shards_repeated=repeated_shards,
        calls_repeated=repeated_calls,
        calls_lost=calls - kept,
        shards=len(_shards(out)),
        calls=calls,
    )


def _command(out: Path, spec: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.interrupted", str(out), spec]


def _killed(command: list[str], *, after: float) -> bool:
    """Run a command and kill it after some seconds; False where it was done before."""
    process = subprocess.Popen(command, start_new_session=True)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    if process.returncode:
        raise RuntimeError(f"the run failed by itself with {process.returncode}")
    return False


def _shards(out: Path) -> dict[Path, tuple[int, int]]:
    """Finished shards and finished models, each with what changes when it is written again."""
    paths = [*out.glob("stages/**/*.jsonl"), *out.glob("models/*/result.json")]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def _finished(out: Path, critic: Critic) -> set[str]:
    """Bodies of the calls whose answers are on disk."""
    path = out.parent / f".{out.name}.calls.db"
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as database:
        answers = [row[0] for row in database.execute("SELECT answer FROM answers")]
    return {critic.calls[json.loads(answer)["usage"]["prompt_tokens"]] for answer in answers}


def _rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM answers").fetchone()[0])


if __name__ == "__main__":
    child(Path(sys.argv[1]), sys.argv[2])
