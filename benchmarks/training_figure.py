"""Draws `docs/recipes.svg`: helpfulness against harmlessness of each way of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from plumbrule.store import write_atomic

Interval = tuple[float, float, float]
"""Value with both ends of its interval."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 64, 24, 40, 56
COLORS = ("#777777", "#b5380f", "#7a5200", "#0b62a8", "#1b7f4d", "#8a4fa3", "#222222")
INK = "#222"


def draw(points: Mapping[str, Sequence[Interval]], path: Path) -> None:
    """Write the figure.

    Args:
        points: Harmlessness and helpfulness of each, with their intervals.
        path: Of the SVG.
    """
    edges = [_edges([each[side] for each in points.values()]) for side in (0, 1)]

    def at(side: int, value: float) -> float:
        low, high = edges[side]
        share = (min(max(value, low), high) - low) / (high - low)
        if side == 0:
            return LEFT + share * (WIDTH - LEFT - RIGHT)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<path d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="{INK}"/>',
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14,
              "prohibited requests answered as the constitution asks", "middle"),
        _text(LEFT, TOP - 20, "requests that deserve help and get it", "start"),
    ]  # fmt: skip
    for side in (0, 1):
        for tick in _ticks(*edges[side]):
            if side == 0:
                parts.append(_text(at(0, tick), HEIGHT - BOTTOM + 20, f"{tick:.0%}", "middle"))
            else:
                parts.append(_text(LEFT - 8, at(1, tick) + 4, f"{tick:.0%}", "end"))
    for place, (name, (harmless, helpful)) in enumerate(points.items()):
        color = COLORS[place % len(COLORS)]
        x, y = at(0, harmless[0]), at(1, helpful[0])
        parts += [
            f'<path d="M{at(0, harmless[1]):.1f},{y:.1f}H{at(0, harmless[2]):.1f}M{x:.1f},'
            f'{at(1, helpful[1]):.1f}V{at(1, helpful[2]):.1f}" stroke="{color}" '
            'stroke-width="1.5" fill="none"/>',
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"/>',
            f'<circle cx="{LEFT + 20}" cy="{HEIGHT - BOTTOM - 132 + 20 * place}" r="5" '
            f'fill="{color}"/>',
            _text(LEFT + 32, HEIGHT - BOTTOM - 128 + 20 * place, name, "start"),
        ]
    label = "Helpfulness against harmlessness of ways of training: " + "; ".join(
        f"{name} {harmless[0]:.1%} harmless, {helpful[0]:.1%} helpful"
        for name, (harmless, helpful) in points.items()
    )
    write_atomic(
        path,
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n",
    )


def _edges(intervals: Sequence[Interval]) -> tuple[float, float]:
    """Ends of an axis that holds all points, in tenths."""
    low = min(max(each[1], 0.0) for each in intervals)
    return (int(low * 10) / 10 if low < 0.95 else 0.9), 1.0


def _ticks(low: float, high: float) -> list[float]:
    step = 0.2 if high - low > 0.5 else 0.1 if high - low > 0.2 else 0.05
    count = round((high - low) / step)
    return [high - step * (count - place) for place in range(count + 1)]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}">{text}</text>'
