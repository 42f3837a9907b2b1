"""Why a loop on SmolLM2 comes only so far: what the model tells apart, and who else could judge.

A remedy teaches a model to decline what is unsafe. On categories that it was not taught on it can
do so only by what it reads in requests anyway. A linear probe on its activations, fitted on the
requests that the loop sees, says how much that is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.loop_real_world import LAW
from benchmarks.real_ground import open_real
from benchmarks.real_run import kept
from benchmarks.rows import Row, estimated
from benchmarks.training_real import complies, examined_prompts, exchange, helps, texts
from plumbrule.judging import load_prompts
from plumbrule.loop.recipe import model_judge
from plumbrule.mechanism import capture, find_sites
from plumbrule.mechanism.probes import fit_probe
from plumbrule.models import LocalModel
from plumbrule.records import Prompt
from plumbrule.statistics import auroc, clopper_pearson
from plumbrule.store import derive_seed

LAYERS = (4, 9, 14, 19, 24, 29)
"""Of thirty, behind which activations are read."""

PENALTY, FOLDS = 10.0, 5
JUDGED = 40
"""Replies of a sort that the small model is tried on as judge."""


def separation_rows(seen: Sequence[Prompt], folder: Path) -> list[Row]:
    """How well a probe that was fitted on seen categories tells unsafe requests of unseen ones.

    The layer is chosen on seen categories alone, each told by a probe that has not seen it.
    """
    unseen = examined_prompts()

    def make() -> Any:
        model = open_real("smollm2")
        assert isinstance(model, LocalModel)
        parts = (_ends(model, side) for side in (seen, unseen))
        return dict(zip(("seen", "unseen"), parts, strict=True))

    ends = kept(folder / "activations.json", make)
    labels = np.array([not each.deserves_help for each in seen])
    topics = [each.kind.removeprefix("contrast_") for each in seen]
    fold = np.array([derive_seed(0, each) % FOLDS for each in topics])
    held: dict[str, Float[np.ndarray, " N"]] = {}
    for layer in map(str, LAYERS):
        rows = np.array(ends["seen"][layer])
        held[layer] = np.zeros(len(rows))
        for number in range(FOLDS):
            probe = fit_probe(rows[fold != number], labels[fold != number], penalty=PENALTY)
            held[layer][fold == number] = probe.scores(rows[fold == number])
    best = max(held, key=lambda name: auroc(held[name][labels], held[name][~labels]).value)
    probe = fit_probe(np.array(ends["seen"][best]), labels, penalty=PENALTY)
    scores = probe.scores(np.array(ends["unseen"][best]))
    # The border is chosen on seen categories too: where half of their unsafe requests lie beyond.
    beyond = scores >= float(np.median(held[best][labels]))
    groups = np.array([each.group for each in unseen])
    safe, name = groups == "xstest safe", f"a probe behind layer {best}, on categories never seen"
    found = []
    for said, unsafe in (("unsafe", ~safe), ("XSTest's unsafe", groups == "xstest unsafe")):
        area = auroc(scores[unsafe], scores[safe])
        found.append(estimated(f"{name}: {said} requests told from safe", area, unit="AUROC"))
        share = clopper_pearson(int(beyond[unsafe].sum()), int(unsafe.sum()), unit="share")
        found.append(estimated(f"{name}: {said} requests beyond its border", share))
    share = clopper_pearson(int(beyond[safe].sum()), int(safe.sum()), unit="share")
    return [*found, estimated(f"{name}: safe twins beyond its border", share)]


def _ends(model: LocalModel, prompts: Sequence[Prompt]) -> dict[str, list[list[float]]]:
    """Activations where a reply begins, by layer."""
    pairs = model.chat.with_replies([each.dialogue for each in prompts], ["" for _ in prompts])
    sites, names = find_sites(model.module), [f"{layer}.out" for layer in LAYERS]
    found: dict[str, list[list[float]]] = {str(layer): [] for layer in LAYERS}
    for start in range(0, len(pairs), 32):
        rows = [list(before) for before, _ in pairs[start : start + 32]]
        read = capture(model.module, sites, rows, names, positions="last")
        for layer, name in zip(LAYERS, names, strict=True):
            found[str(layer)] += read.stacked(name).float().cpu().numpy().round(4).tolist()
    return found


def judge_rows(folder: Path, before: Mapping[str, Any], unsafe: Sequence[str]) -> list[Row]:
    """How a small model at hand would judge in place of the key: replies of SmolLM2 as it is."""
    rule, asked = LAW.principles[0], texts(examined_prompts())
    sides = list(zip(before["replies"], before["groups"], strict=True))
    told = {
        "unsafe compliance seen": [
            at for at, (reply, group) in enumerate(sides) if group in unsafe and complies(reply)
        ],
        "safe help called harm": [
            at for at, (reply, group) in enumerate(sides) if group not in unsafe and helps(reply)
        ],
    }
    chosen = {name: own[:: max(1, len(own) // JUDGED)] for name, own in told.items()}
    exchanges = [exchange(at, asked[at], sides[at][0]) for own in chosen.values() for at in own]

    def make() -> Any:
        judge = model_judge(open_real("qwen2"), load_prompts("default"), 0)
        return [each.get(rule.id, "does not apply") for each in judge(exchanges, [rule])]

    said = iter(kept(folder / "judged-by-qwen2.json", make))
    return [
        estimated(
            f"Qwen2.5-Coder-0.5B as judge: {name}",
            clopper_pearson(sum(next(said) is True for _ in own), len(own), unit="share"),
        )
        for name, own in chosen.items()
    ]
