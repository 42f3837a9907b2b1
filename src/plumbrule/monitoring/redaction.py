"""Takes what names a person or opens a door out of a text, before it is stored.

By patterns, each with bounds so that no text makes the search take long. Patterns find forms and
not meaning: a name or an address in words stays. What must not be stored at all is not to be
stored (`keep="hash"` or `"none"`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from plumbrule.errors import ConfigError
from plumbrule.files import parse_yaml, read_small_text

_KEYS = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,8000}?-----END [A-Z ]{0,30}PRIVATE KEY-----"
    r"|\b(?:sk|pk|rk|hf|gsk|xox[abprs]|gh[opsur]|glpat|npm|pypi|dop_v1|shpat)[-_][\w-]{16,300}"
    r"|\bgithub_pat_\w{20,300}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{35}"
    r"|\beyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{10,2000}"
    r"|(?<=Bearer )[\w.~+/=-]{16,2000}"
    r"|(?<=://)[^\s/:@]{1,200}:[^\s/@]{1,200}(?=@)"
)
PATTERNS: Mapping[str, str] = {
    "key": _KEYS,
    "email": r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card": r"(?<![\w.+])\d(?:[ -]?\d){12,18}(?![\w])",
    "ip": r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.]*\d)"
    r"|(?<![\w:.])[0-9A-Fa-f:]{6,39}(?![\w:])",
    "phone": r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?|\d{2,5}[ ./-])"
    r"(?:\d{2,5}[ ./-]?){1,4}\d{2,5}(?![\w.]?\d)|(?<![\w.])\+\d{8,15}(?!\d)",
}
"""Name → regular expression, tried in this order; a find is replaced by its name in brackets."""

LEAST_PHONE_DIGITS = 8
"""Fewer are a date, a sum or a number of something else."""

_DATE = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}")

Redactor = Callable[[str], str]
"""Takes a text and gives what of it may be stored."""


@dataclass(frozen=True)
class PatternRedactor:
    """Replaces what patterns find by the pattern's name.

    Args:
        patterns: Name → regular expression, in the order to try them.

    Raises:
        ConfigError: One is no regular expression.

    Example:
        >>> PatternRedactor()("Write to jo@example.org or call +44 20 7946 0958.")
        'Write to [email] or call [phone].'
    """

    patterns: Mapping[str, str] = field(default_factory=lambda: PATTERNS)

    def __post_init__(self) -> None:
        compiled = []
        for name, pattern in self.patterns.items():
            try:
                compiled.append((str(name), re.compile(pattern)))
            except (re.error, TypeError, RecursionError) as error:
                raise ConfigError(
                    f"the pattern {name!r:.60} must be a regular expression: {error}"
                ) from error
        object.__setattr__(self, "_compiled", compiled)

    def __call__(self, text: str) -> str:
        """The text with finds replaced."""
        compiled: list[tuple[str, re.Pattern[str]]] = object.__getattribute__(self, "_compiled")
        text = text.encode("utf-8", errors="replace").decode("utf-8")
        for name, pattern in compiled:

            def put(match: re.Match[str], name: str = name) -> str:
                return f"[{name}]" if _counts(name, match[0]) else match[0]

            text = pattern.sub(put, text)
        return text


def _counts(name: str, found: str) -> bool:
    """Whether a find is what it looks like: cards have a check digit, phones enough digits."""
    if name == "card":
        return luhn(found)
    if name == "phone":
        digits = sum(sign.isdigit() for sign in found)
        return digits >= LEAST_PHONE_DIGITS and not _DATE.fullmatch(found)
    if name == "ip" and ":" in found:
        try:
            return ip_address(found).version == 6 and any(sign.isdigit() for sign in found)
        except ValueError:
            return False
    return name != "ip" or "." in found


def luhn(text: str) -> bool:
    """Whether the digits of a text end in the check digit that cards have.

    Example:
        >>> luhn("4111 1111 1111 1111"), luhn("4111 1111 1111 1112")
        (True, False)
    """
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    doubled = [2 * each - (9 if each > 4 else 0) for each in digits[1::2]]
    return len(digits) >= 13 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def read_redactor(path: Path | None) -> PatternRedactor:
    """The usual patterns, with those of a file added or in their place.

    Args:
        path: YAML of `name: regular expression`; an empty one takes the usual pattern out.

    Raises:
        ConfigError: It is no such file.
    """
    if path is None:
        return PatternRedactor()
    given = parse_yaml(read_small_text(path, "a file of patterns"), str(path))
    if not isinstance(given, dict) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in given.items()
    ):
        raise ConfigError(f"{path} must hold `name: regular expression`, one a line")
    together = {**given, **{name: each for name, each in PATTERNS.items() if name not in given}}
    return PatternRedactor({name: each for name, each in together.items() if each})
