r"""Text with its markup taken off, and the way back to every character of the original.

`$\chi^2(1, N = 90) = 3.80$`, `*t*(28)` and a slanted Unicode p become what a single pattern can
read. Runs of blanks become one blank and a blank line becomes a line end, so no pattern after this
has to repeat over blanks. One pass, linear in the length of the text.
"""

import re
import unicodedata
from array import array
from bisect import bisect_right
from dataclasses import dataclass

_COMMANDS = {
    "chi": "χ",
    "beta": "β",
    **dict.fromkeys(("le", "leq", "leqslant"), "<="),
    **dict.fromkeys(("ge", "geq", "geqslant"), ">="),
    **dict.fromkeys(("lt", "textless"), "<"),
    **dict.fromkeys(("gt", "textgreater"), ">"),
    **dict.fromkeys(("approx", "sim", "simeq"), "~"),
    **dict.fromkeys(("times", "cdot"), "x"),
    "pm": "±",
    **dict.fromkeys(("quad", "qquad", "thinspace", "space"), " "),
    **dict.fromkeys(
        (
            *("textit", "emph", "mathit", "textrm", "mathrm", "text", "textbf", "mathbf", "it"),
            *("rm", "bf", "bar", "left", "right", "big", "Big", "textsubscript", "mbox", "hbox"),
            *("ensuremath", "operatorname", "mathsf", "textsf", "textnormal", "limits"),
        ),
        "",
    ),
}
_ENTITIES = {
    **{"lt": "<", "gt": ">", "le": "<=", "ge": ">=", "minus": "-", "chi": "χ", "nbsp": " "},
    **{"thinsp": " ", "times": "x", "amp": "&", "plusmn": "±"},
}
_CHARACTERS = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63", "-"),
    **dict.fromkeys("≤⩽≦", "<="),
    **dict.fromkeys("≥⩾≧", ">="),
    **dict.fromkeys("\u2248\u223c\u2243", "~"),
    **{
        "\u00d7": "x",
        "~": " ",
        "\u200b": "",
        "\u00ad": "",
        "\ufeff": "",
        "·": ".",
    },
    **{str(chr(0x2080 + digit)): f"_{digit}" for digit in range(10)},
}
_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|\\(?P<command>[A-Za-z]{1,20})"
    r"|(?P<escape>\\[,;:! ()\[\]%&_$#])"
    r"|&(?P<entity>[a-z]{2,7});"
    r"|(?P<tag></?(?:i|em|b|strong|sup|span)>)|(?P<sub></?sub>)"
    r"|(?<![A-Za-z0-9_])_(?P<italic>[A-Za-zχ])_(?![A-Za-z0-9_])"
    r"|(?P<comma>\{,\})|(?P<mark>[*${}])"
    r"|(?P<power>[\u207b\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+)"
    r"|(?P<special>[^\x00-\x7f\u0370-\u03ff])|(?P<sign>[~])"
)


@dataclass(frozen=True)
class Plain:
    """Simplified text, and where each of its pieces stood."""

    text: str
    """What patterns are matched against."""

    original: str

    places: "array[int]"
    """Character of the simplified text at which each piece begins."""

    begins: "array[int]"
    ends: "array[int]"
    verbatim: "array[int]"
    """1 where a piece is a copy, so that its characters correspond one to one."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters of the original behind a non-empty stretch of the simplified text."""
        first = bisect_right(self.places, start) - 1
        last = bisect_right(self.places, end - 1) - 1
        begin, finish = self.begins[first], self.ends[last]
        if self.verbatim[first]:
            begin += start - self.places[first]
        if self.verbatim[last]:
            finish = self.begins[last] + end - self.places[last]
        return begin, finish


class _Builder:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.after_blank = True
        self.arrays = tuple(array("q") for _ in range(4))

    def add(self, piece: str, begin: int, end: int, *, verbatim: bool) -> None:
        if piece == " " and self.after_blank:
            return
        if not piece:
            return
        for column, value in zip(
            self.arrays, (self.length, begin, end, int(verbatim)), strict=True
        ):
            column.append(value)
        self.pieces.append(piece)
        self.length += len(piece)
        self.after_blank = piece[-1] in " \n"


def simplify(text: str) -> Plain:
    """Take the markup off, keeping the way back to every character."""
    builder, done = _Builder(), 0
    for found in _TOKEN.finditer(text):
        start, end = found.span()
        piece = _replacement(found)
        if piece is None:
            continue
        if start > done:
            builder.add(text[done:start], done, start, verbatim=True)
        builder.add(piece, start, end, verbatim=False)
        done = end
    if done < len(text):
        builder.add(text[done:], done, len(text), verbatim=True)
    return Plain("".join(builder.pieces), text, *builder.arrays)


def _replacement(found: re.Match[str]) -> str | None:
    """What stands for a piece of markup; None leaves it as it is."""
    kind, value = found.lastgroup, found[found.lastgroup or 0]
    if kind == "blank":
        return "\n" if value.count("\n") > 1 else " "
    if kind == "command":
        return _COMMANDS.get(value)
    if kind == "escape":
        return {"%": "%", "&": "&", "_": "_", "$": "$", "#": "#"}.get(
            value[1], "" if value[1] in "()[]" else " "
        )
    if kind == "entity":
        return _ENTITIES.get(value)
    if kind in ("tag", "mark"):
        return ""
    if kind == "sub":
        return "" if "/" in value else "_"
    if kind == "power":
        return "^" + unicodedata.normalize("NFKC", value).replace("\u2212", "-")
    if kind == "comma":
        return ","
    if kind == "italic":
        return value
    if value in _CHARACTERS:
        return _CHARACTERS[value]
    folded = unicodedata.normalize("NFKC", value)
    return folded if folded != value and folded.isprintable() else None
