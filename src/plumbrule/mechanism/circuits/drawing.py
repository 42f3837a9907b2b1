"""A circuit as a picture: layers from the bottom up, heads and MLPs, and the edges between them.

Plain SVG, written by hand: it follows the reader's color scheme, needs no library and no network,
and says in words what it shows. All text is escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from plumbrule.errors import DataError
from plumbrule.mechanism.circuits.graph import Edge, Graph
from plumbrule.mechanism.circuits.pruning import fed_by

ROW, SLOT, BOX, HEIGHT = 96, 84, 60, 28
"""Pixels between rows and between places in a row, and the size of a node."""

LEFT, TOP, BELOW = 120, 64, 40
PORTS = {"q": -18, "k": 0, "v": 18}
"""Where a head's query, key and value come in, from its middle."""

THIN, THICK = 1.2, 7.0
"""Width of the smallest and the largest edge."""

LONGEST = 200
"""Edges up to which the description names each."""

STYLE = """
.ground{fill:#fff}.node{fill:#f2f2ef;stroke:#555}.words,.port,.row{fill:#1c1c1a;
font:13px system-ui,sans-serif}.port{font-size:9px;fill:#666}.row{fill:#666;font-size:12px}
.helps{stroke:#2166ac}.hinders{stroke:#c2570c;stroke-dasharray:7 4}.edge{fill:none;
stroke-opacity:.75}.head{font-weight:600;font-size:15px}
@media(prefers-color-scheme:dark){.ground{fill:#17171a}.node{fill:#2a2a2e;stroke:#999}
.words{fill:#eee}.port,.row{fill:#aaa}.helps{stroke:#7db8e8}.hinders{stroke:#f0a15e}}
"""


@dataclass(frozen=True, kw_only=True)
class _Node:
    name: str
    label: str
    row: int
    x: float = 0.0
    y: float = 0.0


def draw_circuit(graph: Graph, effects: Mapping[Edge, float], *, title: str) -> str:
    """Draw a circuit.

    Args:
        graph: The model's graph.
        effects: The circuit's edges, each with its effect as a share of what tells the prompts
            apart: above 0 where it helps the right answer. Width shows size, color and dashes the
            sign.
        title: What is above it.

    Returns:
        An SVG document.

    Raises:
        DataError: An effect is not a number.
        ConfigError: There is no such edge.
    """
    graph.mask(effects)
    bad = [str(edge) for edge, effect in effects.items() if not abs(effect) < float("inf")]
    if bad:
        raise DataError(f"expected a number for each edge, got none for {bad[0]}")
    feeds = fed_by(graph)
    nodes, rows = _places(_nodes(effects, feeds))
    width = max(max(node.x for node in nodes.values()) + BOX, 420.0)
    height = TOP + ROW * (len(rows) - 1) + HEIGHT + BELOW + 30
    largest = max((abs(effect) for effect in effects.values()), default=1.0) or 1.0
    ranked = sorted(effects.items(), key=lambda each: (abs(each[1]), each[0]))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-labelledby="title words">',
        f'<title id="title">{_text(title)}</title>',
        f'<desc id="words">{_text(_description(effects))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>',
        f'<text class="words head" x="16" y="26">{_text(title)}</text>',
        *(_row_name(name, row, len(rows)) for row, name in enumerate(rows)),
        *(_edge(edge, effect, nodes, feeds, effects, largest) for edge, effect in ranked),
        *(_box(node, _ports(node, effects, feeds)) for node in nodes.values()),
        _legend(height, bool(effects)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(words: str) -> str:
    """Escaped, without what no XML may hold."""
    return escape("".join(each for each in words if each.isprintable()), {'"': "&quot;"})


def _description(effects: Mapping[Edge, float]) -> str:
    ranked = sorted(effects.items(), key=lambda each: (-abs(each[1]), each[0]))
    named = [f"{edge}, {_share(effect)}" for edge, effect in ranked[:LONGEST]]
    if len(ranked) > LONGEST:
        named.append(f"and {len(ranked) - LONGEST} smaller ones")
    return (
        f"A circuit of {len(ranked)} edges, from the embeddings at the bottom to the answer on "
        f"top. {'; '.join(named)}."
        if ranked
        else "A circuit without edges: none is confirmed."
    )


def _share(effect: float) -> str:
    return f"{100 * abs(effect):.3g}% {'for' if effect >= 0 else 'against'} the right answer"


def _nodes(effects: Mapping[Edge, float], feeds: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Whoever writes or reads; of heads that share a key, those that write or else the first."""
    writing = {edge.writer for edge in effects}
    found = {"embed", "final", *writing}
    for edge in effects:
        found |= set(_fed(edge.reader, writing, feeds))
    return sorted(found)


def _fed(reader: str, writing: set[str], feeds: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The nodes at which an edge into a reader is drawn."""
    outs = feeds[reader]
    return tuple(each for each in outs if each in writing) or outs[:1]


def _places(names: Sequence[str]) -> tuple[dict[str, _Node], list[str]]:
    """Every node with its place, and what each row is called, from the bottom up."""
    keyed: dict[tuple[float, int], list[str]] = {}
    for name in names:
        layer, _, rest = name.partition(".")
        if name == "embed":
            key = (-1.0, 0)
        elif name == "final":
            key = (float("inf"), 0)
        else:
            key = (float(layer), 1 if rest == "mlp" else 0)
        keyed.setdefault(key, []).append(name)
    rows = [_row_title(keyed[key][0]) for key in sorted(keyed)]
    most = max(max(len(each) for each in keyed.values()), 3)
    nodes: dict[str, _Node] = {}
    for row, key in enumerate(sorted(keyed)):
        members = sorted(
            keyed[key], key=lambda name: [int(p) for p in name.split(".") if p.isdigit()]
        )
        y = TOP + ROW * (len(rows) - 1 - row)
        for at, name in enumerate(members):
            # Rows take turns to stand left and right, so that edges past a row are seen.
            shift = 0.0 if name in ("embed", "final") else 0.3 * (1 if row % 2 else -1)
            x = LEFT + SLOT * (0.5 + (most - len(members)) / 2 + at + shift)
            nodes[name] = _Node(name=name, label=_label(name), row=row, x=x, y=y)
    return nodes, rows


def _label(name: str) -> str:
    layer, _, rest = name.partition(".")
    if not rest:
        return {"embed": "embed", "final": "answer"}[name]
    if rest == "mlp":
        return f"MLP {layer}"
    return f"{layer}.{rest.partition('.')[2]}" if rest.startswith("heads") else f"attn {layer}"


def _row_title(name: str) -> str:
    layer, _, rest = name.partition(".")
    if not rest:
        return {"embed": "embeddings", "final": "unembedding"}[name]
    return f"layer {layer}, {'MLP' if rest == 'mlp' else 'heads'}"


def _row_name(name: str, row: int, count: int) -> str:
    y = TOP + ROW * (count - 1 - row) + HEIGHT / 2 + 4
    return f'<text class="row" x="16" y="{y:.0f}">{_text(name)}</text>'


def _role(reader: str) -> str:
    role = reader.split(".")[1] if "." in reader else ""
    return role if role in PORTS else ""


def _ports(
    node: _Node, effects: Mapping[Edge, float], feeds: Mapping[str, tuple[str, ...]]
) -> list[str]:
    writing = {edge.writer for edge in effects}
    return sorted(
        {
            _role(edge.reader)
            for edge in effects
            if _role(edge.reader) and node.name in _fed(edge.reader, writing, feeds)
        }
    )


def _edge(
    edge: Edge,
    effect: float,
    nodes: Mapping[str, _Node],
    feeds: Mapping[str, tuple[str, ...]],
    effects: Mapping[Edge, float],
    largest: float,
) -> str:
    """One path for each node that the edge feeds; past other rows it swings out."""
    width = THIN + (THICK - THIN) * abs(effect) / largest
    writing = {each.writer for each in effects}
    start, middle = nodes[edge.writer], sum(node.x for node in nodes.values()) / len(nodes)
    paths = []
    for name in _fed(edge.reader, writing, feeds):
        end = nodes[name]
        x0, y0 = start.x, start.y - 1
        x1, y1 = end.x + PORTS.get(_role(edge.reader), 0), end.y + HEIGHT + 1
        passed = end.row - start.row - 1
        side = 1 if (x0 + x1) / 2 >= middle else -1
        bend = side * min(60.0 + 30.0 * passed, 180.0) if passed > 0 else 0.0
        reach = (y0 - y1) * 0.45
        paths.append(
            f"M{x0:.1f},{y0:.1f} C{x0 + bend:.1f},{y0 - reach:.1f} "
            f"{x1 + bend:.1f},{y1 + reach:.1f} {x1:.1f},{y1:.1f}"
        )
    kind = "helps" if effect >= 0 else "hinders"
    return (
        f'<path class="edge {kind}" stroke-width="{width:.2f}" d="{" ".join(paths)}">'
        f"<title>{_text(f'{edge}: {_share(effect)}')}</title></path>"
    )


def _box(node: _Node, ports: Sequence[str]) -> str:
    """A node, with letters where queries, keys and values come in."""
    letters = "".join(
        f'<text class="port" text-anchor="middle" x="{node.x + PORTS[port]:.1f}" '
        f'y="{node.y + HEIGHT - 3:.1f}">{port}</text>'
        for port in ports
    )
    y = node.y + (14 if ports else HEIGHT / 2 + 5)
    return (
        f'<rect class="node" rx="5" x="{node.x - BOX / 2:.1f}" y="{node.y:.1f}" width="{BOX}" '
        f'height="{HEIGHT}"/><text class="words" text-anchor="middle" x="{node.x:.1f}" '
        f'y="{y:.1f}">{_text(node.label)}</text>{letters}'
    )


def _legend(height: float, any_edge: bool) -> str:
    y = height - 16
    if not any_edge:
        return f'<text class="row" x="16" y="{y:.0f}">no edge stands</text>'
    return (
        f'<path class="edge helps" stroke-width="4" d="M16,{y - 4:.0f} h28"/>'
        f'<text class="row" x="50" y="{y:.0f}">helps the right answer</text>'
        f'<path class="edge hinders" stroke-width="4" d="M196,{y - 4:.0f} h28"/>'
        f'<text class="row" x="230" y="{y:.0f}">works against it</text>'
        f'<text class="row" x="336" y="{y:.0f}">wider: larger</text>'
    )
