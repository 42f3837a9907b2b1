"""The page of a comparison: what changed between two models, and what may have stayed unseen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumbrule.report.bars import ShareBar, bars
from plumbrule.report.changes import comparison_view
from plumbrule.report.numbers import Number, duration_text, number_text, percent
from plumbrule.report.pool_map import pool_map
from plumbrule.report.power import power_curve
from plumbrule.report.subjects import Json
from plumbrule.report.templating import UNKNOWN, fill

OPTIONAL = {
    "gates": "gates",
    "findings": "findings",
    "not_confirmed": "claims that were tested and not confirmed",
    "certificate": "a certificate",
    "map": "a map of the prompts",
    "lineage": "how the two models' weights are related",
    "noise": "the noise floor",
    "screens": "what each screen cost",
    "total": "what the whole cost",
    "models": "the models",
    "settings": "the settings",
    "versions": "the versions",
    "identities": "the identities of what went in",
}
"""Parts whose absence the page states, by what they are called there; an empty one is there."""

SCREEN_COSTS = (
    ("seconds", "Time", duration_text),
    ("texts", "Texts", number_text),
    ("tokens_generated", "Tokens generated", number_text),
    ("tokens_scored", "Tokens scored", number_text),
    ("calls", "Paid calls", number_text),
)
"""Key in a screen, what the column is called, and how its numbers are written."""


@dataclass(frozen=True, kw_only=True)
class Screen:
    """One screen's row in the table of costs."""

    record: Json
    costs: tuple[ShareBar, ...]


def render(content: Json) -> str:
    """Turn the record of a comparison into one HTML file that needs nothing else."""
    tensors = (content.get("lineage") or {}).get("tensors_most_changed") or ()
    return fill(
        "comparison",
        content,
        "comparison.css",
        comparison=comparison_view(content),
        gates=sorted(content.get("gates") or (), key=_gate_order),
        power=power_curve((content.get("certificate") or {}).get("power") or ()),
        map=pool_map(content.get("map") or {}),
        tensors=bars(tensors, "relative_norm", [_tensor_text(one) for one in tensors]),
        screen_costs=[name for _, name, _ in SCREEN_COSTS],
        screens=screen_rows(content.get("screens") or ()),
        models=_models(content),
        absent=[name for key, name in OPTIONAL.items() if content.get(key) is None],
    )


def screen_rows(screens: Sequence[Json]) -> tuple[Screen, ...]:
    """Lay out what each screen cost, each kind of cost against the dearest screen."""
    columns = []
    for key, name, write in SCREEN_COSTS:
        texts = [_cost_text(screen.get(key), write) for screen in screens]
        named = [{"name": name, key: screen.get(key)} for screen in screens]
        columns.append(bars(named, key, texts))
    return tuple(
        Screen(record=screen, costs=tuple(column[place] for column in columns))
        for place, screen in enumerate(screens)
    )


def _tensor_text(tensor: Json) -> str:
    norm = tensor.get("relative_norm")
    return "not known" if norm is None else percent(norm)


def _cost_text(value: Number | None, write: Callable[[Number], str]) -> str:
    return UNKNOWN if value is None else write(value)


def _gate_order(gate: Json) -> int:
    """Failed gates first, then those that were not decided."""
    passed = gate.get("passed")
    return 0 if passed is False else 2 if passed is True else 1


def _models(content: Json) -> list[tuple[str, Json]]:
    models = content.get("models") or {}
    order = [name for name in ("base", "tuned") if name in models]
    names = [*order, *sorted(set(models) - set(order))]
    return [(name, models[name]) for name in names if models[name]]
