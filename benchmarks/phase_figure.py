"""Draws `docs/phase_change.svg`: `python -m benchmarks.phase_figure`, after `phase_change`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.phase_change import CACHE, measured, truth

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 520, 64, 20, 40, 48
GAP, MOST_LOSS = 56, 5.0
INK, QUIET, LOSS, HEAD, OTHER = "#222", "#8a8a8a", "#0b62a8", "#b5380f", "#c9c9c9"


def main() -> None:
    """Draw one seed's run: the loss above, every head's induction score below."""
    from plumbrule.lab.induction import InductionRecipe, train_into

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, default=Path("docs/phase_change.svg"))
    given = parser.parse_args()
    recipe = InductionRecipe(seed=1)
    checkpoints = train_into(given.cache, recipe)
    seen, known = measured(recipe, checkpoints), truth(recipe, checkpoints)
    courses = {each.name: each for each in seen["courses"]}
    steps = courses["repeated loss"].steps
    panel = (HEIGHT - TOP - BOTTOM - GAP) / 2
    change = seen["changes"]["repeated loss"].location
    parts = [_frame(recipe.steps, panel, change.low, change.high)]
    loss = [
        ("repeated tokens", courses["repeated loss"].values, LOSS, ""),
        ("tokens seen for the first time", courses["new loss"].values, QUIET, "6 4"),
    ]
    for name, values, color, dash in loss:
        at = _points(steps, values, recipe.steps, TOP, panel, MOST_LOSS)
        parts.append(_line(at, color, dash))
        parts.append(_text(at[-1][0] - 4, at[-1][1] - 7, name, color, "end"))
    down = TOP + panel + GAP
    for layer in range(recipe.layers):
        for head in range(recipe.heads):
            values = courses[f"{layer}.heads.{head} induction"].values
            at = _points(steps, np.maximum(values, 0), recipe.steps, down, panel, 1.0)
            own = (layer, head) in known["heads"]
            parts.append(_line(at, HEAD if own else OTHER, "" if own else "2 3"))
    count = len(known["heads"])
    place = LEFT + 0.98 * (WIDTH - LEFT - RIGHT)
    parts.append(_text(place, down + 0.24 * panel, f"{count} induction heads", HEAD, "end"))
    rest = recipe.layers * recipe.heads - count
    parts.append(_text(place, down + 0.82 * panel, f"the other {rest} heads", "#777", "end"))
    given.out.write_text(_page(parts), "utf-8")


def _points(
    steps: Sequence[int],
    values: Sequence[float] | np.ndarray,
    last: int,
    top: float,
    height: float,
    most: float,
) -> list[tuple[float, float]]:
    across = WIDTH - LEFT - RIGHT
    return [
        (LEFT + across * step / last, top + height * (1 - float(value) / most))
        for step, value in zip(steps, values, strict=True)
    ]


def _line(points: Sequence[tuple[float, float]], color: str, dash: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8" '
        f'stroke-dasharray="{dash}"/>'
    )


def _text(x: float, y: float, text: str, color: str = INK, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}">{text}</text>'


def _frame(last: int, panel: float, low: float, high: float) -> str:
    """Axes of both panels, and the stretch in which the loss is found to jump."""
    across, parts = WIDTH - LEFT - RIGHT, []
    left, right = (LEFT + across * each / last for each in (low, high))
    parts.append(
        f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}" fill="#fbe9c6"/>'
    )
    parts.append(
        _text((left + right) / 2, TOP + panel + 22, "jump found here", "#7a5200", "middle")
    )
    panels = (("loss, nats per token", (0, 2, 4), MOST_LOSS), ("induction score", (0, 0.5, 1), 1.0))
    for row, (title, ticks, most) in enumerate(panels):
        top = TOP + row * (panel + GAP)
        parts.append(_text(LEFT, top - 8, title))
        parts.append(
            f'<path d="M{LEFT},{top}V{top + panel:.1f}H{WIDTH - RIGHT}" fill="none" '
            f'stroke="{INK}"/>'
        )
        parts += [
            _text(LEFT - 8, top + panel * (1 - value / most) + 4, f"{value:g}", INK, "end")
            for value in ticks
        ]
    parts += [
        _text(LEFT + across * step / last, HEIGHT - BOTTOM + 18, str(step), INK, "middle")
        for step in range(0, last + 1, 200)
    ]
    parts.append(_text(LEFT + across / 2, HEIGHT - 8, "training steps", INK, "middle"))
    return "\n".join(parts)


def _page(parts: Sequence[str]) -> str:
    label = (
        "The loss on repeated tokens falls from 3 to below 1 nat within some hundred training "
        "steps, while the induction scores of seven heads rise from 0 to about 0.9"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    main()
