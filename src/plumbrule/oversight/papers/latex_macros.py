# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
r"""Expands what a LaTeX source defines, and the numbers of siunitx; says what it does not know."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from plumbrule.oversight.papers.document import word_set
from plumbrule.oversight.papers.markup import Veil

_STAR = r"\*?\s*"
_COMMAND = re.compile(
    rf"\\(?:(?:re)?newcommand|providecommand|DeclareRobustCommand){_STAR}"
    r"(?:\{\s*\\([a-zA-Z@]{1,40})\s*\}|\\([a-zA-Z@]{1,40}))\s*"
    r"(?:\[(\d)\]\s*)?(?:\[([^\[\]]{0,200})\]\s*)?(?=\{)"
)
_DEF = re.compile(r"\\[gex]?def\s*\\([a-zA-Z@]{1,40})\s*((?:#\d\s*){0,9})(?=\{)")
_DOCUMENT_COMMAND = re.compile(
    r"\\(?:New|Renew|Provide|Declare)DocumentCommand\s*(?:\{\s*\\([a-zA-Z]{1,40})\s*\}"
    r"|\\([a-zA-Z]{1,40}))\s*\{((?:[^{}]|\{[^{}]{0,100}\}){0,200})\}\s*(?=\{)"
)
_ENVIRONMENT = re.compile(
    rf"\\(?:re)?newenvironment{_STAR}\{{[^{{}}\n]{{1,60}}\}}\s*(?:\[\d\]\s*)?(?:\[[^\[\]]{{0,99}}\]\s*)?(?=\{{)"
)
_SPEC = re.compile(r"\+?([moOsdD])(\{[^{}]{0,100}\})?")
_KEPT = word_set(
    """
    part chapter section subsection subsubsection paragraph item caption label ref begin end
    title author maketitle footnote input include bibliography thefootnote and or
    """
)
"""Commands that keep their meaning, however a paper redefines them."""

LONGEST_BODY = 2000
MOST_PASSES = 8
LARGEST_GROWTH = 1_000_000
"""Characters that expanding may add; a macro that names itself would add without end."""


@dataclass(frozen=True)
class Macro:
    """What a source defines: a body with `#1` for the first argument."""

    body: str
    arguments: int
    optional: tuple[int, ...] = ()
    """Which arguments are in square brackets, counted from 1."""

    default: str = ""


def braced(text: str, start: int) -> tuple[str, int]:
    """What is in the braces that open at `start`, and where they end; up to 20,000 characters.

    Braces that never close hold what is left of the paragraph.
    """
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start, start + 20_000):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start + 1 : match.start()], match.end()
    end = text.find("\n\n", start)
    end = len(text) if end < 0 else end
    return text[start + 1 : end], end


def rewritten(
    text: str, pattern: re.Pattern[str], write: Callable[[re.Match[str]], tuple[str, int]]
) -> str:
    """A text with its matches replaced, each up to where `write` says that it ends."""
    parts, at = [], 0
    for match in pattern.finditer(text):
        if match.start() >= at:
            words, end = write(match)
            parts += [text[at : match.start()], words]
            at = end
    return "".join(parts) + text[at:]


def take_definitions(text: str) -> tuple[str, dict[str, Macro]]:
    """Take the definitions of macros and environments out of a source.

    Returns:
        The source without them, and the macros by their names; a later definition counts.
    """
    known: dict[str, Macro] = {}
    parts, at = [], 0
    for start, end, name, macro in _definitions(text):
        if start < at:
            continue
        parts.append(text[at:start])
        at = end
        if name and "@" not in name + macro.body and name not in _KEPT:
            known[name] = macro
    return "".join(parts) + text[at:], known


def _definitions(text: str) -> Iterator[tuple[int, int, str, Macro]]:
    found = []
    for match in _COMMAND.finditer(text):
        body, end = braced(text, match.end())
        optional: tuple[int, ...] = () if match[4] is None else (1,)
        macro = Macro(body, int(match[3] or 0), optional, match[4] or "")
        found.append((match.start(), end, match[1] or match[2], macro))
    for match in _DEF.finditer(text):
        body, end = braced(text, match.end())
        found.append((match.start(), end, match[1], Macro(body, match[2].count("#"))))
    for match in _DOCUMENT_COMMAND.finditer(text):
        body, end = braced(text, match.end())
        kinds = [each[1] for each in _SPEC.finditer(match[3])]
        optional = tuple(place for place, kind in enumerate(kinds, 1) if kind in "oOdD")
        name = "" if "s" in kinds else match[1] or match[2]
        found.append((match.start(), end, name, Macro(body, len(kinds), optional)))
    for match in _ENVIRONMENT.finditer(text):
        _, end = braced(text, match.end())
        gap = re.compile(r"\s*(?=\{)").match(text, end)
        end = braced(text, gap.end())[1] if gap else end
        found.append((match.start(), end, "", Macro("", 0)))
    yield from sorted(found, key=lambda each: (each[0], -each[1]))


def expand(text: str, known: Mapping[str, Macro], veil: Veil) -> str:
    """Put in what macros stand for; words that a macro drops are hidden, not lost."""
    usable = {name: each for name, each in known.items() if len(each.body) <= LONGEST_BODY}
    if not usable:
        return text
    names = "|".join(sorted(map(re.escape, usable), key=len, reverse=True))
    pattern = re.compile(rf"\\({names})(?![a-zA-Z@])(?:\{{\}}|[ \t]*(?=[\[{{]))?")
    longest = len(text) + LARGEST_GROWTH

    def write(match: re.Match[str]) -> tuple[str, int]:
        macro = usable[match[1]]
        values, end = _arguments(match.string, match.end(), macro)
        return _filled(macro, values, veil), end

    for _ in range(MOST_PASSES):
        more = rewritten(text, pattern, write)
        if more == text or len(more) > longest:
            break
        text = more
    return text


def _arguments(text: str, at: int, macro: Macro) -> tuple[list[str], int]:
    values = []
    for place in range(1, macro.arguments + 1):
        gap = re.compile(r"\s*").match(text, at)
        start = gap.end() if gap else at
        if place in macro.optional:
            given = re.compile(r"\[([^\[\]]{0,500})\]").match(text, start)
            values.append(given[1] if given else macro.default)
            at = given.end() if given else at
        elif text[start : start + 1] == "{":
            value, at = braced(text, start)
            values.append(value)
        else:  # one sign without braces
            values.append(text[start : start + 1])
            at = min(start + 1, len(text))
    return values, at


def _filled(macro: Macro, values: list[str], veil: Veil) -> str:
    body = macro.body
    hidden = ""
    for place, value in enumerate(values, 1):
        if f"#{place}" not in macro.body and len(value) > 20:
            hidden += veil.hide(value, "argument that is not printed")
    body = re.sub(
        r"#([1-9])", lambda m: values[int(m[1]) - 1] if int(m[1]) <= len(values) else m[0], body
    )
    return body + hidden


_SIUNITX = re.compile(
    r"\\(num|SI|qty|SIrange|qtyrange|numrange|ang|si|unit|numlist|SIlist|qtylist|tablenum)"
    r"(?![a-zA-Z])\s*(?:\[[^\[\]]{0,200}\]\s*)?(?=\{)"
)
_PARTS = {"SI": "nu", "qty": "nu", "SIrange": "nnu", "qtyrange": "nnu", "numrange": "nn",
          "si": "u", "unit": "u", "SIlist": "nu", "qtylist": "nu"}  # fmt: skip
"""Numbers and units that each command takes; the others take one number."""

_UNITS = {
    "percent": "%", "kilo": "k", "milli": "m", "centi": "c", "micro": "µ", "nano": "n", "mega": "M",
    "giga": "G", "gram": "g", "metre": "m", "meter": "m", "second": "s", "hour": "h",
    "minute": "min", "day": "d", "litre": "l", "liter": "l", "hertz": "Hz", "celsius": "°C",
    "degreeCelsius": "°C", "degree": "°", "kelvin": "K", "volt": "V", "ampere": "A", "watt": "W",
    "joule": "J", "newton": "N", "pascal": "Pa", "per": "/", "squared": "²", "cubed": "³",
    "byte": "B", "decibel": "dB", "mole": "mol",
}  # fmt: skip


def siunitx(text: str) -> str:
    r"""Numbers and units of siunitx as they are printed.

    Example:
        >>> siunitx(r"t(\num{58}) = \num{2.10}, \SI{35}{\percent}, \qty{3}{\kilo\gram}")
        't(58) = 2.10, 35%, 3 kg'
    """
    return rewritten(text, _SIUNITX, _quantity)


def _quantity(match: re.Match[str]) -> tuple[str, int]:
    """What a command of siunitx prints, and where its arguments end."""
    text, given, end = match.string, list[str](), match.end()
    kinds = _PARTS.get(match[1], "n")
    while len(given) < len(kinds) and text[end : end + 1] == "{":
        value, end = braced(text, end)
        given.append(value)
    numbers = [_number(each) for each, kind in zip(given, kinds, strict=False) if kind == "n"]
    unit = "".join(_unit(e) for e, kind in zip(given, kinds, strict=False) if kind == "u")
    joint = "" if unit[:1] in ("%", "°", "") or not numbers else " "
    return "–".join(numbers) + joint + unit, end


def _number(value: str) -> str:
    value = re.sub(r"\s", "", value).replace("+-", "±").replace("\\pm", "±")
    return ", ".join(value.split(";"))


def _unit(value: str) -> str:
    value = re.sub(r"\\([a-zA-Z]+)\s*", lambda match: _UNITS.get(match[1], f"{match[1]} "), value)
    return value.replace("\\%", "%").replace("~", " ").strip()


_VALUE = r"\s*[$(]?[<>=]?\s*[-+−]?\d*\.?\d+(?:[eE]-?\d+)?\s*[)$%]?\s*"
_MANY = re.compile(
    rf"\\([a-zA-Z]{{1,40}})\*?\s*((?:\[[^\[\]]{{0,50}}\])?(?:\{{{_VALUE}\}}\s*){{2,9}})"
)
_ONE = re.compile(r"\\([a-zA-Z]{1,40})\*?\s*\{\s*[$]?[<>=]?\s*-?\d?\.\d+\s*[$]?\s*\}")
_VALUE_OF = re.compile(
    r"(?:(?<![A-Za-z\\])[pPnN]|\([\d., ]{1,20}\))\s*[$]?\s*"
    r"(?:[=<>]|\\[lg]e(?:q|qslant)?(?![a-z]))\s*[$]?\s*"
    r"\\([a-zA-Z]{1,40})(?![a-zA-Z])"
)
"""A macro where a p-value, a size or the value of a test is expected."""
_PRINTED_AS_IT_IS = word_set(
    """
    textbf textit emph mathrm mathbf text underline textsuperscript textsubscript mathit
    boldsymbol bm texttt textsc textrm textsf textnormal mbox hbox ensuremath fbox footnote hl
    ul vspace hspace scalebox linespread setstretch raisebox url label bar hat tilde overline
    sqrt small mathsf mathtt textmd textup uline num frac dfrac tfrac cfrac nicefrac sfrac binom
    fontsize rule stackrel overset underset multicolumn multirow cline cmidrule resizebox parbox
    color definecolor setlength addtolength hskip vskip kern linewidth includegraphics put line
    vector operatorname Pr min max log ln exp sum prod int lim sup inf arg det dim lvert lVert
    langle lfloor lceil vert big Big bigl Bigl displaystyle textstyle quad qquad infty alpha beta
    gamma delta epsilon varepsilon eta theta kappa lambda mu nu pi rho sigma tau phi varphi chi psi
    omega Gamma Delta Theta Lambda Pi Sigma Phi Psi Omega times cdot pm mp sim approx dots ldots
    mathbb mathcal mathfrak mathscr num SI qty ang emptyset varnothing ell Re Im partial nabla
    vec dot ddot neq ne leq le geq ge begingroup widehat widetilde underbrace
    overbrace left right input include begin end cite citep ref
    """
)


def unknown_numbers(text: str) -> tuple[str, tuple[str, ...]]:
    """Hold apart the numbers in macros that the paper does not define.

    Returns:
        The text, and one note a macro: what it prints around its numbers is not known.
    """
    names: dict[str, None] = {}

    def apart(match: re.Match[str]) -> str:
        if match[1] in _PRINTED_AS_IT_IS:
            return match[0]
        names[match[1]] = None
        return " " + "; ".join(re.findall(r"\{([^{}]*)\}", match[2])) + " "

    text = _MANY.sub(apart, text)
    names |= {m[1]: None for m in _ONE.finditer(text) if m[1] not in _PRINTED_AS_IT_IS}
    names |= {m[1]: None for m in _VALUE_OF.finditer(text) if m[1] not in _PRINTED_AS_IT_IS}
    return text, tuple(
        f"the macro `\\{name}` is not defined in the paper's files: numbers in it were not read"
        for name in names
    )
