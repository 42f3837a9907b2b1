"""A repair from beginning to end: found, applied, measured, saved; each step kept."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.mechanism.repairs.baked import ablation_edit
from plumbrule.mechanism.repairs.fitting import FittedRepair, fit_repair
from plumbrule.mechanism.repairs.measuring import measure_receipt
from plumbrule.mechanism.repairs.receipts import Receipt, ReceiptSettings, RepairPrompts
from plumbrule.mechanism.repairs.repair_settings import RepairSettings
from plumbrule.mechanism.repairs.replies import Violates
from plumbrule.mechanism.repairs.weight_edits import (
    BEFORE,
    WeightEdit,
    edited,
    fold_in,
    load_edit,
    save_edit,
    save_repaired,
)
from plumbrule.mechanism.repairs.weight_edits import apply_edit as _apply
from plumbrule.mechanism.repairs.writers import refuse_quantized
from plumbrule.models import LocalModel
from plumbrule.records import Estimate, Intervention, Prompt, to_json
from plumbrule.store import Tell, fingerprint, silent, write_atomic

Method = Literal["fitted", "ablation"]


@dataclass(frozen=True, kw_only=True)
class RepairRun:
    """The result of a repair."""

    edit: WeightEdit
    receipt: Receipt
    folder: Path
    """The repaired model: an ordinary checkpoint."""


def repair(
    model: LocalModel,
    prompts: RepairPrompts,
    violates: Violates,
    folder: Path,
    *,
    fixes: str,
    check: str,
    method: Method = "fitted",
    settings: RepairSettings | None = None,
    measuring: ReceiptSettings | None = None,
    useful: Violates | None = None,
    siblings: Mapping[str, tuple[Sequence[Prompt], Violates]] | None = None,
    control: LocalModel | None = None,
    seed: int = 0,
    tell: Tell = silent,
) -> RepairRun:
    """Repair a model, measure the repair, and save both.

    An adapter is folded into the weights first. A run that was killed goes on where it stopped.

    Args:
        model: With the fault; its weights are given back as they were.
        prompts: To fit to, and to measure on.
        violates: Says whether a reply shows the fault.
        folder: Gets `edit.safetensors`, `parts/`, `receipt.json`, `receipt.txt` and `model/`.
        fixes: The fault, in a sentence.
        check: What decides whether it is gone, in a sentence.
        method: `fitted`, or `ablation`: the difference of means between prompts that show the fault
            and kept ones, behind the middle layer, taken out of all that writes.
        settings: How it is fitted.
        measuring: How it is measured.
        useful: As for `measure_receipt`.
        siblings: As for `measure_receipt`.
        control: As for `measure_receipt`.
        seed: Decides everything drawn.
        tell: Told of progress.

    Raises:
        DataError: As for `fit_repair`.
        ModelError: As for `fit_repair`; the model is as it was.
        OutputError: The folder holds another repair.
    """
    settings, measuring = settings or RepairSettings(), measuring or ReceiptSettings()
    fold_in(model)
    refuse_quantized(model.module)
    key = fingerprint(
        {
            "model": model.identity,
            "shown": [to_json(each) for each in prompts.shown],
            "kept": [to_json(each) for each in prompts.kept],
            "check": check,
            "method": method,
            "settings": to_json(settings),
            "seed": seed,
        }
    )
    edit, found = _found(model, prompts, violates, folder, key, method, settings, seed, tell)
    with edited(model, edit):
        repaired = model.identity
    remedy = Intervention(
        fixes=fixes,
        check=check,
        method=method,
        sites=tuple(found["sites"]),
        model=model.identity,
        repaired=repaired,
        settings=to_json(settings),
        seed=seed,
        cost=found["cost"],
        reverts_with=BEFORE,
    )
    receipt = measure_receipt(
        model,
        edit,
        remedy,
        prompts,
        violates,
        useful=useful,
        siblings=siblings,
        control=control,
        settings=measuring,
        seed=seed,
        folder=folder / "parts",
        tell=tell,
    )
    place = folder / "model"
    if not place.exists():
        _save(model, edit, place, remedy)
    write_atomic(folder / "receipt.json", json.dumps(to_json(receipt), indent=1) + "\n")
    write_atomic(folder / "receipt.txt", receipt_text(receipt) + "\n")
    return RepairRun(edit=edit, receipt=receipt, folder=place)


def receipt_text(receipt: Receipt) -> str:
    """A receipt as lines of text: each question, before and after, and what was not measured."""
    remedy = receipt.remedy
    lines = [
        f"Repair of: {remedy.fixes}",
        f"Found by: {remedy.method}, at {', '.join(remedy.sites) or 'no site (no change)'}",
        f"Cost: {remedy.cost:,.0f} tokens times passes",
        f"Checked by: {remedy.check}",
        "",
    ]
    for part in receipt.parts:
        lines.append(f"{part.name}: {part.question}")
        sides = [
            f"{name} {_number(value)}"
            for name, value in (
                ("before", part.before),
                ("after", part.after),
                ("never at fault", part.control),
            )
            if value is not None
        ]
        if sides:
            lines.append(f"    {'; '.join(sides)}")
        if part.unjudged:
            lines.append(f"    {part.unjudged} replies could not be judged")
        if part.note:
            lines.append(f"    {part.note}")
        if part.reason:
            lines.append(f"    not measured: {part.reason}")
    return "\n".join(lines)


def _number(value: Estimate | float) -> str:
    if isinstance(value, Estimate):
        return f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}] (n = {value.n})"
    return f"{value:g}"


def _found(
    model: LocalModel,
    prompts: RepairPrompts,
    violates: Violates,
    folder: Path,
    key: str,
    method: Method,
    settings: RepairSettings,
    seed: int,
    tell: Tell,
) -> tuple[WeightEdit, dict[str, Any]]:
    """The edit, from an earlier run or found now."""
    kept, path = folder / "fit.json", folder / "edit.safetensors"
    if kept.exists():
        try:
            said = json.loads(kept.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{kept} is damaged; delete it and run the same command") from error
        if said.get("key") != key:
            raise OutputError(
                f"{folder} holds a repair of another model, or by other prompts or settings; "
                "choose another --out"
            )
        return load_edit(path), said
    if method == "ablation":
        edit, sites, cost, reason = plain_ablation(model, prompts.shown, prompts.kept)
        fit = None
    elif method == "fitted":
        fit = fit_repair(
            model,
            prompts.shown,
            prompts.kept,
            violates,
            settings=settings,
            seed=seed,
            progress=partial(tell, "fitting"),
        )
        edit, sites, cost, reason = fit.edit, fit.sites, fit.cost.total, fit.reason
    else:
        raise ConfigError(f"expected a method among fitted and ablation, got {method!r}")
    said = {"key": key, "sites": list(sites), "cost": cost, "reason": reason, **_course(fit)}
    folder.mkdir(parents=True, exist_ok=True)
    save_edit(edit, path)
    write_atomic(kept, json.dumps(said, indent=1))
    return edit, said


def plain_ablation(
    model: LocalModel, shown: Sequence[Prompt], kept: Sequence[Prompt], site: str | None = None
) -> tuple[WeightEdit, tuple[str, ...], float, None]:
    """Directional ablation in the weights, along the difference of means at one site.

    Args:
        model: The model; left as it was.
        shown: Prompts that show the fault.
        kept: Prompts that do not.
        site: Where the means are taken, at the last token; None: behind the middle layer.

    Returns:
        The edit, where it writes, what it cost in tokens times passes, and no reason against it.
    """
    from plumbrule.mechanism.capturing import capture
    from plumbrule.mechanism.repairs.steering import stream_writes
    from plumbrule.mechanism.site_search import find_sites

    sites = find_sites(model.module)
    name = site or f"{len(sites.layers) // 2}.out"
    means, tokens = [], 0
    for side in (shown, kept):
        rows = model.chat.prompts([each.dialogue for each in side])
        tokens += sum(map(len, rows))
        found = capture(model.module, sites, rows, [name], positions="last").stacked(name)
        means.append(found.double().mean(0).cpu().numpy())
    edit = ablation_edit(model.module, sites, means[0] - means[1])
    return edit, stream_writes(sites), float(tokens), None


def _course(fit: FittedRepair | None) -> dict[str, Any]:
    if fit is None:
        return {}
    return {
        "rates": list(fit.rates),
        "curve": [list(each) for each in fit.curve],
        "instead": fit.instead,
        "unjudged": fit.unjudged,
        "drawn": fit.cost.drawn,
        "passes": fit.cost.passes,
    }


def _save(model: LocalModel, edit: WeightEdit, place: Path, remedy: Intervention) -> None:
    """Save the repaired model, all of it or nothing."""
    scratch = place.with_name(f".{place.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    applied = _apply(model, edit)
    try:
        save_repaired(model, applied, scratch, said={"remedy": to_json(remedy)})
    finally:
        applied.revert()
    os.replace(scratch, place)
