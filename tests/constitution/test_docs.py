from pathlib import Path

import pytest

import plumbrule
from plumbrule.constitution import LINT_CODES, Constitution, CritiqueExample, Principle
from plumbrule.constitution.schema import field_names

PAGE = Path(plumbrule.__file__).parents[2] / "docs" / "constitution.md"


@pytest.mark.parametrize("kind", [Constitution, Principle, CritiqueExample])
def test_the_page_names_every_field(kind):
    page = PAGE.read_text(encoding="utf-8")

    assert [name for name in field_names(kind) if f"`{name}`" not in page] == []


def test_the_page_names_every_complaint_with_its_severity():
    page = PAGE.read_text(encoding="utf-8")

    missing = [code for code, kind in LINT_CODES.items() if f"| `{code}` | {kind} |" not in page]
    assert missing == []


def test_the_page_names_every_verb():
    page = PAGE.read_text(encoding="utf-8")

    for verb in ("show", "lint", "diff", "import"):
        assert f"plumbrule constitution {verb}" in page
