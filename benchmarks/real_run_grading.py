"""Grade given replies and time it, by whichever Plumbrule is on the path: today's or another one.

`python real_run_grading.py FILE` reads a job and prints what came of it; both are JSON. It uses
only what every version of `plumbrule.judging` has had, so the same file runs old code and new.
"""

import json
import sys
import time
from pathlib import Path

import torch

from plumbrule.constitution import load_constitution
from plumbrule.judging import grade, load_prompts
from plumbrule.models import open_model
from plumbrule.records import Exchange, Message


def main() -> None:
    """Grade every reply of a job under every principle, as often as it says.

    Seconds are of processor time, which other work beside it does not count into.
    """
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    model = open_model(job["model"], dtype="float32", device="cpu")
    constitution = load_constitution(job["constitution"])
    prompts = load_prompts(job["prompts"])
    exchanges = [
        Exchange(
            id=str(number), dialogue=(Message("user", request),), response=reply, model="given"
        )
        for number, (request, reply) in enumerate(job["exchanges"])
    ]
    grade(model, exchanges[:1], constitution, prompts=prompts, seeds=[0])  # looks around first
    seconds = []
    for _ in range(job["repetitions"]):
        started = time.process_time()
        judged = grade(model, exchanges, constitution, prompts=prompts, seeds=[0] * len(exchanges))
        seconds.append(time.process_time() - started)
    found = {
        "seconds": seconds,
        "questions": len(judged),
        "verdicts": [each.verdict for each in judged],
        "probabilities": [each.probability for each in judged],
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
