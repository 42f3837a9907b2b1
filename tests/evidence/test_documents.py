"""Documents say what records say, and that nothing is known where none says anything."""

import json
import re
import uuid
from pathlib import Path

import pytest
import yaml

from plumbrule.errors import DataError
from plumbrule.evidence import read_evidence, write_document
from plumbrule.evidence.documents import ANNEX_IV, ANNEX_XI, _safe
from plumbrule.evidence.facts import facts_of
from plumbrule.evidence.records import RunRecord


@pytest.fixture(scope="module")
def folder(plain):
    return plain / "documents" / "small"


def lines_of(text):
    body = text.split("\n---\n", 1)[-1] if text.startswith("---") else text
    return [line for line in body.split("\n") if line and not line.startswith("#")]


@pytest.mark.parametrize("name", ["README.md", "annex-iv.md", "annex-xi.md"])
def test_every_line_leads_to_a_record_that_is_there_or_says_that_nothing_is_known(folder, name):
    lines = lines_of((folder / name).read_text())

    assert "not known" in lines
    for line in lines:
        if line != "not known":
            found = re.search(r"\(\[[^\n]+\]\(([^)]+)\)\)$", line)
            assert found, line
            assert (folder / found[1]).exists(), line


def test_what_a_line_says_stands_at_the_place_that_it_names(plain):
    record = read_evidence(plain).records[0]
    checked = 0
    for facts in facts_of(record).values():
        for fact in facts:
            if not fact.file.endswith(".json") or "*" in fact.place or not fact.place:
                continue
            value = json.loads((record.folder / fact.file).read_text())
            for part in fact.place.strip("/").split("/"):
                value = value[int(part)] if isinstance(value, list) else value[part]
            if isinstance(value, str):
                assert value == fact.value
                checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    ("name", "sections"), [("annex-iv.md", ANNEX_IV), ("annex-xi.md", ANNEX_XI)]
)
def test_annexes_keep_the_order_of_the_law(folder, name, sections):
    headings = re.findall(r"^##+ (.+)$", (folder / name).read_text(), re.MULTILINE)

    assert headings == [f"{number} {heading}" for number, heading, _ in sections]


def test_the_card_has_metadata_that_hugging_face_reads(folder):
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCard((folder / "README.md").read_text()).data

    assert isinstance(data, ModelCardData)
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-generation")
    assert data.eval_results
    assert data.base_model is None  # `lab:nano` is no model of the hub


def test_the_bill_names_every_file_of_the_model_with_its_hash(plain, folder):
    bill = json.loads((folder / "bom.cdx.json").read_text())
    record = read_evidence(plain).records[0]
    component = bill["metadata"]["component"]

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.7")
    assert uuid.UUID(bill["serialNumber"].removeprefix("urn:uuid:"))
    assert {each["name"]: each["hashes"][0]["content"] for each in component["components"]} == (
        record.model("models/final")
    )
    references = {each["bom-ref"] for each in bill["components"]} | {component["bom-ref"]}
    for each in bill["dependencies"]:
        assert {each["ref"], *each["dependsOn"]} <= references


def test_hostile_text_stays_text():
    assert _safe("<script>x</script>\n# [a](b) `c`") == (
        "&lt;script&gt;x&lt;/script&gt; \\# \\[a\\](b) \\`c\\`"
    )


def test_a_document_leads_from_where_it_is_written(finished, tmp_path):
    text = write_document("annex-xi", finished, tmp_path / "docs" / "xi.md")
    targets = re.findall(r"\]\(([^)]+)\)\)$", text, re.MULTILINE)

    assert targets
    assert all((tmp_path / "docs" / each).exists() for each in targets)
    assert (tmp_path / "docs" / "xi.md").read_text() == text


def test_what_is_no_run_has_no_documents(tmp_path):
    with pytest.raises(DataError, match=r"expected a run that has ended"):
        write_document("card", tmp_path)


def test_yaml_on_top_of_a_card_holds_the_text_of_others_as_text(finished):
    record = RunRecord(finished, 'a: "b"\n---\n')
    from plumbrule.evidence.documents import _metadata

    assert yaml.safe_load(_metadata(record))["model-index"][0]["name"] == 'a: "b"\n---\n'


def test_the_page_says_which_anchor_there_is(plain):
    page = Path(plain / "index.html").read_text()

    assert "Nothing here is signed." in page
    assert "none was named when this was written" in page
    assert "weights → release" in page or "release" in page
