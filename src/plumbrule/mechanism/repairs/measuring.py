"""Measure the receipt of a repair, part by part, going on where a killed measurement stopped."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from plumbrule.errors import DataError
from plumbrule.mechanism.repairs.receipt_parts import Measurement
from plumbrule.mechanism.repairs.receipts import (
    Receipt,
    ReceiptPart,
    ReceiptSettings,
    RepairPrompts,
)
from plumbrule.mechanism.repairs.replies import Violates
from plumbrule.mechanism.repairs.weight_edits import WeightEdit
from plumbrule.models import LocalModel
from plumbrule.records import Intervention, Prompt, from_json, to_json
from plumbrule.store import Tell, fingerprint, silent, write_atomic

CODE_VERSION = 1
"""Raised whenever the same inputs would give another receipt."""


def measure_receipt(
    model: LocalModel,
    edit: WeightEdit,
    remedy: Intervention,
    prompts: RepairPrompts,
    violates: Violates,
    *,
    useful: Violates | None = None,
    siblings: Mapping[str, tuple[Sequence[Prompt], Violates]] | None = None,
    control: LocalModel | None = None,
    settings: ReceiptSettings | None = None,
    seed: int = 0,
    folder: Path | None = None,
    tell: Tell = silent,
) -> Receipt:
    """Measure what a repair did, part by part.

    Args:
        model: Before the repair; it is left as it was.
        edit: The repair.
        remedy: What the repair is.
        prompts: What is asked; only those that the repair was not fitted to, but for relearning
            and the probe, which learn from the fitted ones.
        violates: Says whether a reply shows the fault.
        useful: Says whether a reply to an ordinary prompt is right.
        siblings: By principle, prompts and what breaks it, to see whether the fault moved there.
        control: A model that never had the fault, such as the one before the faulty training.
        settings: How it is measured.
        seed: Decides every reply and the order of training.
        folder: Keeps parts as they are done; None: nothing is kept.
        tell: Told of parts done.

    Raises:
        DataError: A prompt that is measured on was fitted to, or a kept part is damaged.
    """
    settings = settings or ReceiptSettings()
    _check_apart(prompts)
    siblings = siblings or {}
    graded = {
        "useful": useful is not None,
        "siblings": {
            name: [to_json(each) for each in asked] for name, (asked, _) in siblings.items()
        },
    }
    key = fingerprint([_key(model, edit, prompts, remedy, settings, seed, control), graded])
    work = Measurement(model, edit, prompts, violates, settings, seed, control)
    asks = _questions(work, useful, siblings)
    parts = []
    for number, (name, ask) in enumerate(asks.items()):
        tell("receipt", number, len(asks))
        parts.append(_kept(folder, name, key, ask))
    tell("receipt", len(asks), len(asks))
    return Receipt(remedy=remedy, parts=tuple(parts))


def _questions(
    work: Measurement,
    useful: Violates | None,
    siblings: Mapping[str, tuple[Sequence[Prompt], Violates]],
) -> dict[str, Callable[[], ReceiptPart]]:
    """What is asked of a repair, by name, in the order in which it is asked."""
    prompts = work.prompts

    def rate(
        name: str,
        question: str,
        asked: Sequence[Prompt],
        grader: Violates | None = None,
        *,
        absent: str = "",
    ) -> tuple[str, Callable[[], ReceiptPart]]:
        return name, partial(work.rate, name, question, asked, grader, absent=absent)

    asks: list[tuple[str, Callable[[], ReceiptPart]]] = [
        rate("removal", "replies at fault, on held-out prompts", prompts.held_out),
        rate(
            "matched",
            "replies at fault, in the fault's surroundings",
            prompts.matched,
            absent="no prompts of the fault's surroundings were given",
        ),
        ("kl", work.kl),
        rate(
            "useful",
            "right replies, on neutral prompts",
            prompts.neutral,
            useful,
            absent="nothing was given that says which replies are right",
        ),
        rate(
            "twins",
            "replies at fault, on safe twins",
            prompts.twins,
            absent="no safe twins were given",
        ),
        rate(
            "twins useful",
            "right replies, on safe twins",
            prompts.twins,
            useful,
            absent="no safe twins were given, or nothing that says which replies are right",
        ),
        ("probe", work.probe),
        ("8 bits", partial(work.in_bits, 8)),
        ("4 bits", partial(work.in_bits, 4)),
        ("benign training", work.benign),
        ("relearning", work.relearning),
        *(
            rate(f"sibling {name}", f"replies that break {name}", asked, breaks)
            for name, (asked, breaks) in siblings.items()
        ),
    ]
    if not siblings:
        none = ReceiptPart(
            name="siblings",
            question="replies that break other principles",
            reason="no other principles were given",
        )
        asks.append(("siblings", lambda: none))
    return dict(asks)


def _check_apart(prompts: RepairPrompts) -> None:
    fitted = {each.dialogue for each in (*prompts.shown, *prompts.kept)}
    for name in ("held_out", "matched", "neutral", "twins"):
        for each in getattr(prompts, name):
            if each.dialogue in fitted:
                raise DataError(
                    f"a prompt of {name} was fitted to: {each.dialogue[-1].content!r:.80}; measure "
                    "on prompts that the fit never saw"
                )


def _key(
    model: LocalModel,
    edit: WeightEdit,
    prompts: RepairPrompts,
    remedy: Intervention,
    settings: ReceiptSettings,
    seed: int,
    control: LocalModel | None,
) -> str:
    import hashlib

    total = hashlib.sha256()
    for change in edit.changes:
        total.update(change.path.encode())
        total.update(np.ascontiguousarray(change.left).tobytes())
        total.update(np.ascontiguousarray(change.right).tobytes())
    asked = {
        name: [to_json(each) for each in getattr(prompts, name)]
        for name in ("shown", "kept", "held_out", "neutral", "matched", "twins")
    }
    return fingerprint(
        {
            "code": CODE_VERSION,
            "model": model.identity,
            "control": None if control is None else control.identity,
            "edit": total.hexdigest(),
            "prompts": asked,
            "remedy": to_json(remedy),
            "settings": to_json(settings),
            "seed": seed,
        }
    )


def _kept(folder: Path | None, name: str, key: str, ask: Callable[[], ReceiptPart]) -> ReceiptPart:
    """A part that was measured before, or is measured now."""
    if folder is None:
        return ask()
    path = folder / f"{name.replace(' ', '-')}-{key[:16]}.json"
    if path.exists():
        try:
            value = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is damaged; delete it and run the same command") from error
        return from_json(ReceiptPart, value, origin=str(path))
    part = ask()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(to_json(part)))
    return part
