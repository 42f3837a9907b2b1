# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Turns LaTeX's spelling of letters, signs and formulas into the characters that are printed."""

import re
import unicodedata

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
