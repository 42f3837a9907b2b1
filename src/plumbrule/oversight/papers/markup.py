# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""What is in a source besides words: bytes, hidden letters, spelled-out signs, Markdown."""

import re
import unicodedata
from collections import Counter
from typing import Any

from plumbrule.errors import PlumbruleError
from plumbrule.files import parse_yaml
from plumbrule.oversight.papers.document import Hidden

_MARKS = (b"\xff\xfe", b"\xfe\xff")

SHORTEST = 8
"""Letters from which UTF-16 without its mark can be told from a binary file."""


def decoded(raw: bytes) -> str:
    """Read UTF-8, UTF-16 with or without its mark, or else the code page of Western Windows.

    Example:
        >>> decoded("a naïve view".encode("utf-16-le")), decoded("naïve".encode("cp1252"))
        ('a naïve view', 'naïve')
    """
    if raw.startswith(_MARKS):
        return raw.decode("utf-16", errors="replace")
    half = len(raw[:20_000]) // 2
    zeros = raw[: 2 * half : 2].count(0), raw[1 : 2 * half : 2].count(0)
    if half > SHORTEST and max(zeros) > 0.3 * half and min(zeros) < 0.05 * half:
        form = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        return raw.decode(form, errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_PRIVATE = re.compile("[\ue000-\ue005\ud800-\udfff]")  # half a surrogate pair is no letter
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_INVISIBLE = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]+"
)
_IN_WORD = re.compile("(?<=\\w)[\u200b-\u200f\u2060-\u2064](?=\\w)")

LONGEST_RUN = 8
"""Invisible characters in a row that no script or emoji needs; longer runs can carry a message."""

MOST_IN_WORDS = 3
"""Invisible characters inside words of one line before the line counts as disguised."""

_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "\u00a0": " ", "\u202f": " "}
)

AT = "\ue005"
"""Stands for an @ that is no citation until the citations are found."""


class Veil:
    """Collects hidden pieces while one text is cleaned."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, str]] = []

    def hide(self, text: str, how: str) -> str:
        """Remember a piece and give the mark that stands for it; nothing for a blank piece."""
        if not text.strip():
            return ""
        self._pieces.append((text.strip(), how))
        return f"{_OPEN}{len(self._pieces) - 1}{_CLOSE}"

    def lift(self, text: str) -> tuple[str, tuple[Hidden, ...]]:
        """Take the marks out again.

        Returns:
            The clean text, and every piece with its place; pieces whose mark was lost in between
            are at the end, so that none is dropped.
        """
        parts, found, at, length = [], {}, 0, 0
        for match in _MARK.finditer(text):
            parts.append(text[at : match.start()])
            length += match.start() - at
            found[int(match[1])] = length
            at = match.end()
        parts.append(text[at:])
        clean = "".join(parts)
        return clean, tuple(
            Hidden(text=_MARK.sub("", piece), how=how, start=found.get(number, len(clean)))
            for number, (piece, how) in enumerate(self._pieces)
        )


def uncover(text: str, veil: Veil) -> str:
    """Take invisible characters out of a text, and unify line ends, spaces and ligatures.

    Letters written in the Unicode tag block are read as the letters they stand for. Lines with
    invisible characters inside several words, and long runs of them, are remembered too.
    """
    text = _PRIVATE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").translate(_LIGATURES))
    text = _TAGS.sub(lambda match: veil.hide(_untagged(match[0]), "Unicode tag characters"), text)
    if not _INVISIBLE.search(text):
        return text
    lines = []
    for line in text.split("\n"):
        clean = _INVISIBLE.sub(lambda match: _run(match[0], veil), line)
        if len(_IN_WORD.findall(line)) >= MOST_IN_WORDS:
            clean += veil.hide(_MARK.sub("", clean), "zero-width characters inside words")
        lines.append(clean)
    return "\n".join(lines)


def _untagged(text: str) -> str:
    return "".join(chr(ord(letter) - 0xE0000) for letter in text)


def _run(run: str, veil: Veil) -> str:
    if len(run) < LONGEST_RUN:
        return ""
    counts = Counter(f"U+{ord(letter):04X}" for letter in run)
    words = ", ".join(f"{count} times {name}" for name, count in sorted(counts.items()))
    return veil.hide(f"a run of {len(run)} invisible characters: {words}", "zero-width characters")


_ACCENTS = {
    "'": "\u0301",
    "`": "\u0300",
    '"': "\u0308",
    "^": "\u0302",
    "~": "\u0303",
    "=": "\u0304",
    ".": "\u0307",
    "c": "\u0327",
    "v": "\u030c",
    "u": "\u0306",
    "H": "\u030b",
    "k": "\u0328",
    "r": "\u030a",
}
_ACCENT = re.compile(
    r"\\(?:([\'`\"^~=.])\s*(?:\{\\?([a-zA-Z])\}|\\?([a-zA-Z]))|([cvuHkr])\{\\?([a-zA-Z])\})"
)
_LETTERS = {
    "ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "ae": "æ", "AE": "Æ", "oe": "œ",
    "OE": "Œ", "aa": "å", "AA": "Å", "i": "i", "j": "j", "dots": "…", "ldots": "…",
    "cdots": "…", "textendash": "–", "textemdash": "—", "textpm": "±", "textdegree": "°",
    "copyright": "©", "textbackslash": "\\", "S": "§", "textquotesingle": "'",
}  # fmt: skip
_SIGNS = {
    "leq": "≤", "le": "≤", "leqslant": "≤", "geq": "≥", "ge": "≥", "geqslant": "≥", "neq": "≠",
    "ne": "≠", "approx": "≈", "sim": "~", "times": "×", "cdot": "·", "pm": "±", "mp": "∓",
    "lt": "<", "gt": ">", "in": "∈", "infty": "∞", "to": "→", "rightarrow": "→", "alpha": "α",
    "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "epsilon": "ε", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "pi": "π", "rho": "ρ",
    "sigma": "σ", "Sigma": "Σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Omega": "Ω", "sum": "Σ", "percent": "%",
}  # fmt: skip
_NAMED = re.compile(r"\\([a-zA-Z]+)(?:\{\}|(?![a-zA-Z])[ \t]?)")
_TEXT_IN_MATH = re.compile(
    r"\\(?:text|textit|textrm|mathrm|mathit|operatorname|mbox)\{([^{}]{0,200})\}"
)
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,100})\}\{([^{}]{1,100})\}")
_BAR = re.compile(r"\\(?:bar|hat|tilde|overline|mathbf|mathbb|mathcal|vec)\{([^{}]{0,50})\}")
_ON_DIGIT = re.compile(r"(?<=\d)\^\{([^{}]{1,20})\}")
_SCRIPT = re.compile(r"(?<!\d)[\^_]\{([^{}]{0,50})\}|(?<!\d)[\^_](\w)")


_CHI = re.compile(r"\\chi\s*(?:\^\{?2\}?\s*_\{?(\d{1,4})\}?|_\{?(\d{1,4})\}?\s*\^\{?2\}?)")
_ALIGNED = re.compile(r"(?<!\\)&|\\(?:nonumber|notag)(?![a-zA-Z])")


def accents(text: str) -> str:
    r"""Letters with accents.

    Example:
        >>> accents(r"M\"uller and Nu\~{n}ez")
        'Müller and Nuñez'
    """
    return _ACCENT.sub(_accent, text)


def _accent(match: re.Match[str]) -> str:
    mark = match[1] or match[4]
    letter = match[2] or match[3] or match[5]
    return unicodedata.normalize("NFC", letter + _ACCENTS[mark])


def letters(text: str) -> str:
    r"""Named letters and signs outside formulas, such as `\ss` and `\ldots`."""
    return _NAMED.sub(lambda match: _LETTERS.get(match[1], match[0]), text)


def math_text(formula: str) -> str:
    r"""A formula on one line, as plainly as it can be read.

    Example:
        >>> math_text(r"\chi^2(1, N = 120) = 3.78,\ p < .05")
        'χ2(1, N = 120) = 3.78, p < .05'
    """
    text = _TEXT_IN_MATH.sub(r"\1", _ALIGNED.sub(" ", formula)).replace("\\\\", " ")
    text = _CHI.sub(lambda match: f"χ2({match[1] or match[2]})", text)
    text = _FRACTION.sub(r"\1/\2", text)
    text = _BAR.sub(r"\1", text)
    text = _ON_DIGIT.sub(r"^\1", text)
    text = _SCRIPT.sub(lambda match: match[1] or match[2] or "", text)
    text = re.sub(r"\\[,;:!> ]|\\q?quad", " ", text)
    text = re.sub(r"\\(?:left|right|big|Big)(?![a-zA-Z])", "", text)
    text = _NAMED.sub(lambda match: _SIGNS.get(match[1], match[1]), text)
    text = text.replace("{,}", ",").replace("\\%", "%").replace("\\_", "_")
    return re.sub(r"[ \t]{2,}", " ", text.replace("{", "").replace("}", ""))


_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_FIELD = re.compile(r"^(title|bibliography):[ \t]*(\S[^\n]*)$", re.MULTILINE)
_CODE = re.compile(r"(`{1,3})(?!`)([^`]{1,300})\1(?!`)")
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r"^(```+|~~~+)[^\n]*\n(.*?)(?:^\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_WHITE = re.compile(
    r"<(\w+)[^<>]{0,200}(?:color\s*[:=]\s*[\"']?\s*(?:white\b|#fff(?:fff)?\b)|display\s*:\s*none"
    r"|font-size\s*:\s*[01](?:px|pt)?\b)[^<>]{0,200}>(.*?)</\1>",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,300}>")
_DIVISION = re.compile(r"^[ \t]*:{3,}[^\n]{0,300}$", re.MULTILINE)
"""Where pandoc's fenced divisions begin and end."""

_IMAGE = re.compile(r"!\[([^\]\n]{0,2000})\]\([^()\s]{0,500}\)(?:\{[^{}\n]{0,200}\})?")
_LINK = re.compile(
    r"\[([^\]\n]{1,1000})\]\(([^()\s]{1,500}(?:\([^()\s]{0,100}\)[^()\s]{0,200})?)\)"
)
_MATH = re.compile(r"(?<![\\$\w])\$(?=\S)([^$\n]{1,400}?)(?<=\S)\$(?!\d)")
_STRONG = re.compile(r"(?<![\w*\\])(\*{1,3})(?=[^\s*])([^*\n]{1,1000}?)(?<=[^\s*\\])\1(?!\*)")
_UNDER = re.compile(r"(?<![\w\\])(_{1,2})(?=[^\s_])([^_\n]{1,1000}?)(?<=[^\s_\\])\1(?!\w)")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>$%&~@])")


def markdown_text(source: str, veil: Veil) -> tuple[str, tuple[str, ...]]:
    """Clean a Markdown source.

    Args:
        source: With unified line ends and without invisible characters.
        veil: Takes comments, code and white text.

    Returns:
        The text, and the names of bibliography files that its front matter gives.
    """
    source, files = _front_matter(source)
    text = _COMMENT.sub(lambda match: veil.hide(match[1], "HTML comment"), source)
    text = _FENCE.sub(lambda match: veil.hide(match[2], "code block") + "\n", text)
    text = _WHITE.sub(lambda match: veil.hide(_TAG.sub("", match[2]), "white text"), text)
    text = _DIVISION.sub("", _TAG.sub("", text))
    text = _IMAGE.sub(lambda match: match[1], text)
    text = _LINK.sub(_link, text)
    # In code an @ is no citation, nor is one behind a stroke.
    text = _CODE.sub(lambda match: match[0].replace("@", AT), text).replace("\\@", AT)
    text = _MATH.sub(lambda match: math_text(match[1]), text)
    for pattern in (_STRONG, _STRONG, _UNDER):
        text = pattern.sub(lambda match: match[2], text)
    return _ESCAPE.sub(r"\1", text), files


def _front_matter(source: str) -> tuple[str, tuple[str, ...]]:
    """Write title and abstract of the front matter as headings; keep what is no front matter."""
    match = _FRONT.match(source)
    if match is None:
        return source, ()
    try:
        front: Any = parse_yaml(match[1], "the front matter")
    except PlumbruleError:  # such as a colon in a title: what is needed of it is still there
        front = {field[1]: field[2].strip(" '\"[]") for field in _FIELD.finditer(match[1])}
    if not isinstance(front, dict):
        return source, ()
    head = f"# {front['title']}\n\n" if isinstance(front.get("title"), str) else ""
    if isinstance(front.get("abstract"), str):
        head += f"# Abstract\n\n{front['abstract'].strip()}\n\n"
    given = front.get("bibliography", [])
    files = tuple(str(each) for each in (given if isinstance(given, list) else [given]) if each)
    return head + source[match.end() :], files


def _link(match: re.Match[str]) -> str:
    """Words of a link; its address too where that is an identifier the words do not hold."""
    words, address = match[1], match[2]
    return f"{words} {address}" if "doi.org" in address and "10." not in words else words
