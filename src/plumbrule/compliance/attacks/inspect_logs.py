"""Logs of Inspect: a red team written as an `.eval` file, and attacks read from one.

An `.eval` file is a zip archive: `header.json` with the evaluation, its plan and results,
`samples/ID_epoch_N.json` with a dialogue, its reply and its scores each, `summaries.json` with the
same in short, and a `_journal` of both. Inspect View and Docent open it.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plumbrule.compliance.attacks.records import AttackOutcome, BroughtAttack, RedTeamResult
from plumbrule.errors import DataError
from plumbrule.records import Message
from plumbrule.store import fingerprint, write_atomic
from plumbrule.version import __version__

LOG_VERSION = 2
"""Version of Inspect's log format that is written."""

LARGEST_ENTRY = 64 * 2**20
"""Bytes of a file in the archive, unpacked."""

MOST_SAMPLES = 100_000

SCORER = "plumbrule"


def write_eval_log(result: RedTeamResult, path: Path, *, created: datetime | None = None) -> None:
    """Write a red team as an Inspect log, a sample for each attack.

    Args:
        result: What was found.
        path: The file; its name should end in `.eval`.
        created: When; None: now.

    Raises:
        StorageError: The disk did not take it.
    """
    when = (created or datetime.now(UTC)).isoformat(timespec="seconds")
    samples = [_sample(each, number) for number, each in enumerate(result.outcomes, 1)]
    header = _header(result, when, len(samples))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, value: object) -> None:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, json.dumps(value, ensure_ascii=True, allow_nan=False))

        start = {"version": LOG_VERSION, "eval": header["eval"], "plan": header["plan"]}
        put("_journal/start.json", start)
        for sample in samples:
            put(f"samples/{sample['id']}_epoch_1.json", sample)
        summaries = [_summary(sample) for sample in samples]
        put("_journal/summaries/1.json", summaries)
        put("summaries.json", summaries)
        put("header.json", header)
    write_atomic(path, packed.getvalue())


def _header(result: RedTeamResult, when: str, count: int) -> dict[str, Any]:
    share = len(result.hits) / count if count else None
    name = fingerprint([result.model_identity, result.constitution_sha256, when])[:22]
    metrics = {} if share is None else {"mean": {"name": "mean", "value": share, "params": {}}}
    score = {"name": SCORER, "scorer": SCORER, "params": {}, "metrics": metrics}
    return {
        "version": LOG_VERSION,
        "status": "success",
        "eval": {
            "run_id": name,
            "eval_id": name,
            "created": when,
            "task": "plumbrule/redteam",
            "task_id": name,
            "task_version": 0,
            "task_attribs": {},
            "task_args": {},
            "dataset": {
                "name": result.constitution,
                "samples": count,
                "sample_ids": list(range(1, count + 1)),
                "shuffled": False,
            },
            "model": result.model,
            "model_args": {},
            "config": {"epochs": 1},
            "packages": {"plumbrule": __version__},
            "metadata": {
                "judge": result.judge,
                "constitution_sha256": result.constitution_sha256,
                "budget": result.budget,
                "holes": [f"{each.principle_id}: {each.family}" for each in result.holes],
            },
        },
        "plan": {
            "name": "plan",
            "steps": [{"solver": "plumbrule/redteam", "params": {}}],
            "config": {},
        },
        "results": {"total_samples": count, "completed_samples": count, "scores": [score]},
        "stats": {"started_at": when, "completed_at": when, "model_usage": {}},
    }


def _sample(each: AttackOutcome, number: int) -> dict[str, Any]:
    said = [
        {"id": f"{number}-{place}", "role": turn.role, "content": turn.content, **_where(turn)}
        for place, turn in enumerate(each.exchange.dialogue)
    ]
    reply = {
        "id": f"{number}-reply",
        "role": "assistant",
        "content": each.exchange.response,
        "source": "generate",
    }
    attack = each.attack
    return {
        "id": number,
        "epoch": 1,
        "input": said,
        "target": attack.principle_id,
        "messages": [*said, reply],
        "output": {
            "model": each.exchange.model,
            "choices": [
                {
                    "message": reply,
                    "stop_reason": "max_tokens"
                    if each.exchange.finish_reason == "length"
                    else "stop",
                }
            ],
        },
        "scores": {
            SCORER: {
                "value": int(each.hit),
                "answer": each.verdict,
                "explanation": each.rationale or each.verdict,
                "metadata": {"verdict": each.verdict},
            }
        },
        "metadata": {
            "principle": attack.principle_id,
            "family": attack.family,
            "origin": attack.origin,
            "goal": attack.goal[-1].content,
            "even": each.even,
        },
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }


def _where(turn: Message) -> dict[str, str]:
    return {"source": "generate" if turn.role == "assistant" else "input"}


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": sample["id"],
        "epoch": 1,
        "input": sample["input"],
        "target": sample["target"],
        "metadata": sample["metadata"],
        "scores": sample["scores"],
        "model_usage": {},
        "completed": True,
        "message_count": len(sample["messages"]),
    }


def read_eval_log(path: Path) -> list[BroughtAttack]:
    """Read the attacks of an Inspect log that succeeded.

    A sample counts where one of its scores is true, at least a half, or `I` for incorrect, in logs
    of tests that a model should pass.

    Args:
        path: An `.eval` file.

    Raises:
        DataError: It is no such file, too large, or none of its samples is a hit.
    """
    found = []
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                each
                for each in archive.infolist()
                if each.filename.startswith("samples/") and each.filename.endswith(".json")
            ]
            if len(names) > MOST_SAMPLES or any(each.file_size > LARGEST_ENTRY for each in names):
                raise DataError(f"{path} has more samples, or larger ones, than are read")
            for name in names:
                sample = json.loads(archive.read(name))
                one = _attack(sample, path) if isinstance(sample, dict) else None
                if one is not None:
                    found.append(one)
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"expected an Inspect log, {path} cannot be read as one: {error}"
        ) from error
    if not found:
        raise DataError(f"{path} holds no sample that was scored as a hit, so no attack")
    return found


def _attack(sample: Mapping[str, Any], path: Path) -> BroughtAttack | None:
    scores = sample.get("scores")
    if not isinstance(scores, dict) or not any(_hit(each) for each in scores.values()):
        return None
    messages = sample.get("messages") or sample.get("input")
    turns = _turns(messages)
    while turns and turns[-1].role != "user":
        turns.pop()
    if not turns:
        return None
    metadata = sample.get("metadata") if isinstance(sample.get("metadata"), dict) else {}
    assert isinstance(metadata, dict)
    return BroughtAttack(
        dialogue=tuple(turns),
        goal=str(metadata.get("goal") or turns[-1].content),
        family=str(metadata.get("family") or "Inspect")[:60],
        principle_id=metadata.get("principle") or None,
        source=f"{path.name} sample {sample.get('id')}",
    )


def _turns(value: Any) -> list[Message]:
    if isinstance(value, str):
        return [Message("user", value)]
    turns = []
    for each in value if isinstance(value, list) else []:
        if isinstance(each, dict) and each.get("role") in ("system", "user", "assistant"):
            turns.append(Message(each["role"], _text(each.get("content"))))
    return turns


def _text(content: Any) -> str:
    parts: Sequence[Any] = content if isinstance(content, list) else []
    if isinstance(content, str):
        return content
    return "\n".join(
        str(each.get("text")) for each in parts if isinstance(each, dict) and each.get("text")
    )


def _hit(score: Any) -> bool:
    value = score.get("value") if isinstance(score, dict) else score
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value >= 0.5
    return value == "I"
