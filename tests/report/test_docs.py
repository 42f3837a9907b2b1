import re
from pathlib import Path

from tests.report.sample import sample_content

GUIDE = Path(__file__).parents[2] / "docs" / "report.md"


def test_every_part_of_the_record_is_explained_and_nothing_else_is():
    table = re.findall(r"^\| (`.+?) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    explained = {key for cell in table for key in re.findall(r"`(\w+)`", cell)}

    assert explained == set(sample_content())
