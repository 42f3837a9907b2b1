"""Draws `docs/amplify.svg`: accuracy by depth after each round, and under an overseer who errs."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.amplification_rows import KEPT, Found
from plumbrule.oversight.amplification import Climb
from plumbrule.store import write_atomic

WIDTH, HEIGHT, TOP, BOTTOM, LEFT, GAP = 760, 330, 46, 52, 56, 78
COLORS = ("#7a5200", "#b5380f", "#8a4fa3", "#0b62a8", "#1b7f4d")
INK, QUIET = "#222", "#777"
LOWEST = 0.4
"""Accuracy at the bottom of the plots."""


def draw(found: Found, path: Path) -> None:
    """Write the figure; what was not made is left out."""
    parts = [_frame(0, "no errors put in: each round's student"),
             _frame(1, "overseer errs in 5%: student (line), predicted (dashed)")]  # fmt: skip
    main = found.climbs.get(f"{found.main} seed 0")
    if main is not None:
        parts += _rounds(main)
    erring = {name: done for name, done in found.erring().items() if " 0.05" in name}
    for place, (name, done) in enumerate(erring.items()):
        parts += _erring(name, done, COLORS[(1 + 2 * place) % len(COLORS)], place)
    label = (
        f"Accuracy by depth of {found.main}: on the left after each round of a climb without "
        "errors; on the right with an overseer who errs in 5% of combinations, and the prediction"
    )
    write_atomic(
        path,
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n",
    )


def _across() -> float:
    return (WIDTH - LEFT - GAP - 20) / 2


def _at(panel: int, level: float, accuracy: float) -> tuple[float, float]:
    left = LEFT + panel * (_across() + GAP)
    height = HEIGHT - TOP - BOTTOM
    shown = max(LOWEST, accuracy)
    return left + _across() * level / 4, TOP + height * (1 - shown) / (1 - LOWEST)


def _text(x: float, y: float, text: str, color: str = INK, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}">{text}</text>'


def _line(points: Sequence[tuple[float, float]], color: str, dash: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" '
        f'stroke-dasharray="{dash}"/>'
    )


def _frame(panel: int, title: str) -> str:
    left, top = _at(panel, 0, 1)
    right, bottom = _at(panel, 4, LOWEST)
    parts = [
        _text(left, TOP - 22, title),
        f'<path d="M{left:.1f},{top:.1f}V{bottom:.1f}H{right:.1f}" fill="none" stroke="{INK}"/>',
        _text((left + right) / 2, HEIGHT - 12, "depth of the question", INK, "middle"),
    ]
    for accuracy in (0.4, 0.6, 0.8, 1.0):
        parts.append(_text(left - 8, _at(panel, 0, accuracy)[1] + 4, f"{accuracy:.0%}", INK, "end"))
    for level in range(5):
        parts.append(_text(_at(panel, level, 1)[0], bottom + 18, str(2**level), INK, "middle"))
    kept = [_at(panel, 0, KEPT), _at(panel, 4, KEPT)]
    parts.append(_line(kept, "#c9c9c9", "3 3"))
    return "\n".join(parts)


def _rounds(done: Climb) -> list[str]:
    """A line a round; its last point is the depth that round taught."""
    parts = []
    for each in done.rounds:
        color = COLORS[each.level % len(COLORS)]
        points = [_at(0, level, one.value) for level, one in enumerate(each.accuracy)]
        if not points:
            continue
        parts.append(_line(points, color))
        x, y = points[-1]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>')
        words = "depth 1 learned" if each.level == 0 else f"round {each.level}"
        anchor = {0: "start", 4: "end"}.get(each.level, "middle")
        parts.append(_text(x, y + 22 + 17 * (each.level % 2), words, color, anchor))
    return parts


def _erring(name: str, done: Climb, color: str, place: int) -> list[str]:
    own = [(each.level, each.accuracy[-1].value) for each in done.rounds if each.accuracy]
    told = [(0, 1.0)] + [(each.level, 1 - each.expected) for each in done.rounds
                         if each.expected is not None]  # fmt: skip
    parts = [
        _line([_at(1, *point) for point in own], color),
        _line([_at(1, *point) for point in told], color, "6 4"),
    ]
    x, y = _at(1, 0.15, 0.60 - 0.07 * place)
    stopped = done.stopped
    rule = f"stops at depth {stopped.depth}" if stopped else "does not fire"
    parts.append(_text(x, y, f"{name.replace(' 0.05', '')}: rule {rule}", color))
    if stopped is not None:
        x, y = _at(1, stopped.level, dict(own).get(stopped.level, KEPT))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="{color}" '
                     'stroke-width="2"/>')  # fmt: skip
    return parts
