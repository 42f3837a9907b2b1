import re
from pathlib import Path

import pytest
from tests.report.comparison_sample import comparison_content
from tests.report.sample import sample_content

GUIDE = Path(__file__).parents[2] / "docs" / "report.md"


@pytest.mark.parametrize(
    ("heading", "content"),
    [
        ("What the record holds", sample_content()),
        ("What the record of a comparison holds", comparison_content()),
    ],
)
def test_every_part_of_a_record_is_explained_and_nothing_else_is(heading, content):
    [section] = re.findall(
        rf"^## {heading}$(.*?)^## ", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    table = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    explained = {key for cell in table for key in re.findall(r"`(\w+)`", cell)}

    assert explained == set(content)
