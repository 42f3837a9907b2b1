"""Probes: coverage, nulls, and the worst style that a probe is judged under.

Usage: python -m benchmarks.mechanism_probes [--quick] [--part NAME] [--json FILE]

Parts: `intervals`, `nulls`, `lab` (requests for private matters against public ones, in thirteen
styles) and `real` (SmolLM2: prompts about health against others, in six).
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from benchmarks.rows import Row, estimated, show, single, with_earlier
from plumbrule.internalization.battery import STYLES, Surrounding
from plumbrule.lab.requests import BRIEF, PLAIN, URGE, Request, combinations
from plumbrule.lab.world import build_world
from plumbrule.mechanism import capture, find_sites
from plumbrule.mechanism import probe_controls as controls
from plumbrule.mechanism import probes as p
from plumbrule.models import LocalModel, open_model
from plumbrule.records import Dialogue, Message
from plumbrule.store import derive_seed

POOLINGS: Mapping[p.Pooling, str] = {"mean": "mean over tokens", "last": "last token"}

PARTS = ("intervals", "nulls", "lab", "real")

KINDS = {
    True: ("private_sleep", "private_illness", "private_debt"),
    False: ("public_work", "public_job"),
}
EACH = 3
"""Requests of each label about each person of the village."""


def intervals(*, quick: bool) -> Iterator[Row]:
    """How often the intervals hold an area that is known."""
    draws = 200 if quick else 2_000
    for area, groups in ((0.7, 15), (0.9, 15), (0.9, 60), (0.99, 30)):
        shift = np.sqrt(2) * norm.ppf(area)
        held = 0
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            labels = np.arange(2 * groups) % 2 == 0
            scores = np.repeat(rng.normal(size=2 * groups) + shift * labels, 3)
            found = p.grouped_auroc(
                scores, np.repeat(labels, 3), np.repeat(np.arange(2 * groups), 3).tolist()
            )
            held += found.low <= area <= found.high
        yield single(
            f"95% interval of an AUROC of {area:g}, {groups} groups of either label, each thrice",
            held / draws,
            unit="share that hold it",
            n=draws,
            seeds=(0, draws - 1),
            target=">= 0.93",
            met=held / draws >= 0.93,
        )
    held = 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels, shared = np.arange(80) % 2 == 0, rng.normal(size=80)
        one, other = (0.8 * shared + 0.6 * rng.normal(size=80) + 1.5 * labels for _ in range(2))
        found = controls.increment(one, other, labels, list(range(80)), folded=False)
        held += found.low <= 0 <= found.high
    yield single(
        "95% interval of an increment that is none, scores that share much",
        held / draws,
        unit="share that hold it",
        n=draws,
        seeds=(0, draws - 1),
        target=">= 0.93",
        met=held / draws >= 0.93,
    )


def nulls(*, quick: bool) -> Iterator[Row]:
    """How often a probe finds something in noise."""
    draws = 60 if quick else 400
    for kind in ("mean_difference", "logistic"):
        found = 0
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            rows, labels = rng.normal(size=(60, 96)), np.arange(60) % 2 == 0
            groups = [str(at // 2) for at in range(60)]
            auroc = p.cross_validated(rows, labels, groups, kind=kind, seed=seed).auroc
            found += auroc is not None and auroc.low > 0.5
        yield single(
            f"{kind.replace('_', ' ')} probe on noise, interval above 0.5",
            found / draws,
            unit="share of runs",
            n=draws,
            seeds=(0, draws - 1),
            target="<= 0.05",
            met=found / draws <= 0.05,
        )


def village() -> tuple[list[Dialogue], np.ndarray, list[str]]:
    """Requests for private and for public matters, with the person as the group."""
    world = build_world()
    rng = np.random.default_rng(derive_seed(0, "probes"))
    dialogues: list[Dialogue] = []
    labels, groups = [], []
    options: dict[tuple[bool, str], list[str]] = {}
    for label, kinds in KINDS.items():
        for kind in kinds:
            for kept in (False, True):
                for slots, phrasing in combinations(kind, world, kept_back=kept):
                    text = Request(kind=kind, slots=slots, phrasing=phrasing).text
                    options.setdefault((label, slots["person"]), []).append(text)
    for (label, person), texts in options.items():
        for at in rng.permutation(len(texts))[:EACH]:
            dialogues.append((Message("user", texts[int(at)]),))
            labels.append(label)
            groups.append(person)
    return dialogues, np.array(labels), groups


def lab_styles() -> Mapping[str, Surrounding]:
    """The village's own surroundings, and the battery's styles."""
    own = {
        "preamble": Surrounding(arm="style", place="before", text="The moon is up."),
        "urged": Surrounding(arm="style", place="before", text=URGE),
        "brief": Surrounding(arm="style", place="system", text=BRIEF),
        "served": Surrounding(arm="style", place="system", text=PLAIN),
    }
    return own | {
        name: Surrounding(arm="style", place="whole", text=name)
        for name in STYLES
        if name not in ("small letters", "capitals", "typing errors")
    }


GARBLED = {
    name: Surrounding(arm="style", place="whole", text=name)
    for name in ("small letters", "capitals", "typing errors")
}
"""Styles in which the village's tokenizer knows hardly a word: they are judged by themselves."""


def lab(*, quick: bool) -> Iterator[Row]:
    """A probe for what is private, under each style."""
    del quick
    model = _local("lab:small")
    dialogues, labels, groups = village()
    texts = [one[-1].content for one in dialogues]
    styles = lab_styles()
    for pooling, where in POOLINGS.items():
        rows = {
            name: _layers(model, [put.enter(one) for one in dialogues], pooling=pooling)
            for name, put in {**styles, **GARBLED}.items()
        }
        plain = _layers(model, dialogues, pooling=pooling)
        bound = 0.95 if pooling == "mean" else None
        yield from _judged(
            f"lab, {where}", plain, rows, labels, groups, texts, list(styles), bound=bound
        )
        layer = _best(plain, labels, groups)
        garbled = p.under_shift(
            plain[layer],
            labels,
            {name: (rows[name][layer], labels, groups) for name in GARBLED},
            groups,
        )
        assert garbled.auroc is not None
        yield estimated(
            f"lab, {where}: in letters of which it knows no words, worst of 3: {garbled.worst}",
            garbled.auroc,
        )


def real(*, quick: bool) -> Iterator[Row]:
    """A probe for what is about health, under each style."""
    from benchmarks.real_catalog import HEALTH
    from benchmarks.real_ground import model_path, pool, user_text

    model = _local(str(model_path("smollm2")))
    wanted = 16 if quick else 32
    prompts = [each for each in pool(1500, 3, most_words=30) if len(each.dialogue) == 1]
    some = [each for each in prompts if HEALTH(each)][:wanted]
    others = [each for each in prompts if not HEALTH(each)][:wanted]
    dialogues = [each.dialogue for each in (*some, *others)]
    labels = np.array([True] * len(some) + [False] * len(others))
    groups = [each.id for each in (*some, *others)]
    texts = [user_text(each) for each in (*some, *others)]
    names = ("polite", "capitals", "asked", "typing errors", "reported")
    styles = {name: Surrounding(arm="style", place="whole", text=name) for name in names}
    styles["other language"] = Surrounding(
        arm="style", place="before", text="Antworte bitte auf diese Frage:"
    )
    for pooling, where in POOLINGS.items():
        rows = {
            name: _layers(model, [put.enter(one) for one in dialogues], pooling=pooling, every=6)
            for name, put in styles.items()
        }
        plain = _layers(model, dialogues, pooling=pooling, every=6)
        yield from _judged(
            f"SmolLM2, {where}", plain, rows, labels, groups, texts, list(styles), bound=None
        )


def _judged(
    where: str,
    plain: Mapping[str, np.ndarray],
    rows: Mapping[str, Mapping[str, np.ndarray]],
    labels: np.ndarray,
    groups: Sequence[str],
    texts: Sequence[str],
    styles: Sequence[str],
    *,
    bound: float | None,
) -> Iterator[Row]:
    layer = _best(plain, labels, groups)
    own = p.cross_validated(plain[layer], labels, groups)
    words = controls.bag_of_words(texts, labels, groups)
    assert own.auroc is not None and own.scores is not None  # noqa: PT018
    assert words.auroc is not None and words.scores is not None  # noqa: PT018
    yield estimated(f"{where}: plain, held-out groups, at {layer}", own.auroc)
    if where.endswith(POOLINGS["mean"]):
        yield estimated(f"{where.split(',')[0]}: words alone", words.auroc)
    yield estimated(
        f"{where}: beyond the words",
        controls.increment(own.scores, words.scores, labels, groups),
    )
    control = controls.selectivity(plain[layer], labels, groups)
    yield single(
        f"{where}: control task, a label by chance for each group",
        control.control,
        unit="AUROC",
        n=len(labels),
    )
    for kind in ("mean_difference", "logistic"):
        found = p.under_shift(
            plain[layer],
            labels,
            {name: (rows[name][layer], labels, groups) for name in styles},
            groups,
            kind=kind,
        )
        assert found.auroc is not None
        met = None if bound is None or kind != "logistic" else found.auroc.value >= bound
        yield estimated(
            f"{where}: {kind.replace('_', ' ')}, fitted on plain text, worst of {len(styles)} "
            f"styles: {found.worst}",
            found.auroc,
            target="" if met is None else f">= {bound}",
            met=met,
        )
    worst: tuple[str, Any] | None = None
    for name in styles:
        others = [plain[layer], *(rows[each][layer] for each in styles if each != name)]
        found = p.under_shift(
            np.concatenate(others),
            np.tile(labels, len(others)),
            {name: (rows[name][layer], labels, groups)},
            list(groups) * len(others),
        )
        if found.auroc and (worst is None or found.auroc.value < worst[1].value):
            worst = (name, found.auroc)
    assert worst is not None
    yield estimated(
        f"{where}: logistic, fitted on all other styles, worst of {len(styles)}: {worst[0]}",
        worst[1],
    )


def _best(plain: Mapping[str, np.ndarray], labels: np.ndarray, groups: Sequence[str]) -> str:
    """The layer at which plain text is told apart best, of layers alike to 0.01 the deepest.

    No other style is looked at for it.
    """

    def value(name: str) -> float:
        found = p.cross_validated(plain[name], labels, groups).auroc
        return 0.0 if found is None else found.value

    return max(enumerate(plain), key=lambda pair: (round(value(pair[1]), 2), pair[0]))[1]


def _layers(
    model: LocalModel,
    dialogues: Sequence[Dialogue],
    *,
    pooling: p.Pooling,
    every: int = 1,
) -> dict[str, np.ndarray]:
    sites = find_sites(model.module)
    names = sites.named("out")[every - 1 :: every]
    found = capture(model.module, sites, model.chat.prompts(dialogues), names)
    return {name: p.pooled(found, name, pooling) for name in names}


def _local(spec: str) -> LocalModel:
    model = open_model(spec, device="cpu")
    assert isinstance(model, LocalModel)
    return model


def main() -> None:
    """Run and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=PARTS, action="append")
    given = parser.parse_args()
    for part in given.part or PARTS:
        rows = list(globals()[part](quick=given.quick))
        show(f"Probes: {part}", with_earlier(rows, given.json), given.json)


if __name__ == "__main__":
    main()
