"""How templates write values: escaped, hidden characters spelled out, nothing left blank."""

import json
from functools import cache
from pathlib import Path
from typing import TypeGuard

from jinja2 import Environment, FileSystemLoader, Undefined
from markupsafe import Markup

from plumbrule.report.figures import shape
from plumbrule.report.links import records_href
from plumbrule.report.numbers import (
    bytes_text,
    denominator_text,
    dollars_text,
    duration_text,
    estimate_text,
    level_text,
    number_text,
    part_text,
    percent,
    value_text,
)
from plumbrule.report.subjects import Json
from plumbrule.report.text import marked, plain, preview
from plumbrule.report.words import marked_words

TEMPLATES = Path(__file__).parent / "templates"

UNKNOWN = "not recorded"
"""What stands where the record holds nothing."""


def styles(*names: str) -> Markup:
    """Read style sheets, to be put into a page as they are."""
    return Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names))


def fill(template: str, record: Json, *sheets: str, **more: object) -> str:
    """Fill a template: one HTML file that needs nothing else, the same for the same values.

    Args:
        template: Its name in `templates/`, without `.html.j2`.
        record: What `report.json` holds; the template reads it as `record`.
        sheets: Style sheets that this page has beside the common one.
        more: Further values, by the names that the template reads them by.
    """
    style = styles("style.css", *sheets)
    made = environment().get_template(f"{template}.html.j2")
    return made.render(record=record, style=style, **more) + "\n"


@cache
def environment() -> Environment:
    """Templates that escape by default and write hidden characters out, in text and attributes."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "marked": lambda value: marked(value) if isinstance(value, str) else value,
        "preview": lambda value: preview(value) if isinstance(value, str) else None,
        "words": marked_words,
        "exact": lambda number: json.dumps(number),
        "compact": lambda value: json.dumps(value) if isinstance(value, dict | list) else value,
        "duration": lambda seconds: duration_text(seconds) if _is_number(seconds) else UNKNOWN,
        "dollars": lambda amount: dollars_text(amount) if _is_number(amount) else UNKNOWN,
        "percent": lambda share: percent(share) if _is_number(share) else UNKNOWN,
        "size": lambda count: bytes_text(count) if _is_number(count) else UNKNOWN,
        "estimate": lambda estimate, reason=None: estimate_text(
            estimate or None, reason=reason or None
        ),
        "part": part_text,
        "value": value_text,
        "denominator": denominator_text,
        "level": lambda level: level_text(level) if _is_number(level) else UNKNOWN,
        "href": records_href,
        "shape": shape,
    }
    return made


def _shown(value: object) -> object:
    """Write a value: nothing is ever left blank, and no number is written longer than it reads."""
    if isinstance(value, Markup):
        return value
    if value is None or isinstance(value, Undefined):
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_number(value):
        return number_text(value)
    return plain(str(value))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
