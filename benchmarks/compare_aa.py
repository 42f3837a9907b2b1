"""Pairs in which nothing differs: the same weights, re-saved in another type, in other batches."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.organism_trials import CACHE, PER_KIND, in_processes, kept
from benchmarks.rows import Row
from plumbrule.behavior import CompareSettings, compare_models
from plumbrule.lab import organisms
from plumbrule.models import LanguageModel, LocalSettings, model_folder, open_model
from plumbrule.records import to_json
from plumbrule.statistics import clopper_pearson

WAYS = ("same", "recast", "batches")
"""Identical weights; re-saved in bfloat16; run in batches of another shape."""

SPECIMENS = ("lab:small", "lab:nano")


def rows(pairs: int, workers: int) -> list[Row]:
    """Share of pairs with any finding."""
    units = [
        (WAYS[number % len(WAYS)], SPECIMENS[number // len(WAYS) % len(SPECIMENS)], number)
        for number in range(pairs)
    ]
    found = in_processes(compared, units, workers=workers, title="A/A pairs")
    table = []
    for way in ("any", *WAYS):
        here = [each["findings"] > 0 for each in found if way in ("any", each["way"])]
        estimate = clopper_pearson(sum(here), len(here), unit="of pairs")
        table.append(
            Row(
                measure="A/A pairs with any finding" + ("" if way == "any" else f", {way}"),
                target="<= 5%" if way == "any" else "",
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                unit=estimate.unit,
                n=estimate.n,
                met=estimate.value <= 0.05 if way == "any" else None,
                seeds=[0],
            )
        )
    return table


def compared(unit: tuple[str, str, int]) -> Any:
    """Compare one pair."""
    way, specimen, seed = unit
    settings = CompareSettings(seed=seed, shortcut=False)
    key = {
        "name": f"{way}-{specimen.removeprefix('lab:')}-{seed}",
        "way": way,
        "specimen": specimen,
        "settings": to_json(settings),
    }

    def measure() -> dict[str, Any]:
        base = open_model(specimen)
        prompts = organisms.pool(seed, 1, PER_KIND // 2)
        found = compare_models(base, _other(way, specimen), prompts, settings=settings)
        return {
            "findings": len(found.findings),
            "hypotheses": len(found.verdicts),
            "claims": [str(each.hypothesis) for each in found.verdicts],
            "texts": found.texts,
        }

    return kept("aa", key, measure)


def _other(way: str, specimen: str) -> LanguageModel:
    """The second of the pair."""
    if way == "batches":
        return open_model(specimen, local=LocalSettings(batch_size=7, max_batch_tokens=1000))
    return open_model(specimen if way == "same" else str(_recast(specimen)))


def _recast(specimen: str) -> Path:
    """The specimen saved in bfloat16."""
    folder = CACHE / "recast" / specimen.removeprefix("lab:")
    if not (folder / "config.json").exists():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder.parent.mkdir(parents=True, exist_ok=True)
        source = model_folder(specimen)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            made = Path(scratch) / "model"
            AutoModelForCausalLM.from_pretrained(source).to(torch.bfloat16).save_pretrained(made)
            AutoTokenizer.from_pretrained(source).save_pretrained(made)
            if not folder.exists():
                made.rename(folder)
    return folder
