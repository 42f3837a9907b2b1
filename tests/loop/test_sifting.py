"""A run leaves out revisions that are unfit to be imitated, and says which and why."""

import json
from dataclasses import replace

import pytest
from tests.loop.test_ways import CONFIG, run
from tests.training.test_revision_filter import CRITIQUE, DRAFT, GOOD, trail
from tests.training.worker import exchanges

from plumbrule.errors import DataError
from plumbrule.evidence.records import RunRecord
from plumbrule.evidence.trainings import inputs_again
from plumbrule.lab import village_prompts
from plumbrule.ledger import Ledger, read_entries, verify
from plumbrule.loop import make_config, to_mapping
from plumbrule.loop.config import deciding
from plumbrule.loop.sifting import LEFT_OUT, imitable, refuse_nothing_left, say_sifted
from plumbrule.loop.sifting import warn_of_sifted as warn
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.models import model_folder
from plumbrule.store import file_sha256
from plumbrule.training import RevisionFilter

ALONE = replace(CONFIG, method="none", most_judged=1)
HARSH = RevisionFilter(alike=0.05, most_alike=0.0)  # a shared turn of phrase makes one text of two
FEW = village_prompts(tempting=8, honesty=2, deserving=2, examined_tempting=1, examined_deserving=1)


@pytest.fixture
def space(tmp_path):
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        yield RunWorkspace(folder=tmp_path, config=CONFIG, identity="", ledger=ledger)


def trails(*revisions):
    drafts = [replace(each, response=DRAFT) for each in exchanges(len(revisions))]
    return [trail(draft, text) for draft, text in zip(drafts, revisions, strict=True)]


def test_what_is_left_out_stands_in_the_folder_the_ledger_and_the_summary(space):
    given = trails(GOOD, CRITIQUE, "Ask ask ask " * 9, None)
    sifted = imitable(space, given)
    rows = [json.loads(line) for line in (space.folder / LEFT_OUT).read_text().splitlines()]

    assert [(row["id"], row["reason"]) for row in rows] == [
        ("e1", "copied from the critique"), ("e2", "repeats itself"),
    ]  # fmt: skip
    assert (rows[0]["draft"], rows[0]["revision"]) == (DRAFT, CRITIQUE)
    (entry,) = read_entries(space.folder / "ledger.db")
    assert entry.payload["left_out"] == {"copied from the critique": 1, "repeats itself": 1}
    assert (entry.payload["revised"], entry.payload["kept"]) == (3, 1)
    assert say_sifted(sifted) == (
        " and 1 of them imitated (left out: copied from the critique 1, repeats itself 1)"
    )
    assert warn(sifted)[0].startswith("LITTLE TO LEARN FROM: 2 of 3 revisions were left out")
    refuse_nothing_left(sifted)
    imitable(space, given)  # a run that goes on enters the same again


def test_nothing_is_said_where_nothing_is_left_out_or_nobody_looks(space):
    sifted = imitable(space, trails(GOOD, None))
    assert (say_sifted(sifted), warn(sifted)) == (" and imitated", [])
    assert (space.folder / LEFT_OUT).read_text() == ""
    off = replace(space, config=replace(CONFIG, revision_filter=None))
    assert imitable(off, trails(CRITIQUE)) is None
    assert (say_sifted(None), warn(None)) == (" and imitated", [])


def test_where_nothing_is_left_the_run_stops_and_says_what_to_do(space):
    sifted = imitable(space, trails(CRITIQUE, "Ask ask ask " * 9))
    with pytest.raises(
        DataError, match=r"none of 2 revisions .*critique 1, repeats itself 1.*null"
    ):
        refuse_nothing_left(sifted)


@pytest.fixture(scope="module")
def harsh(tmp_path_factory):
    return run(
        tmp_path_factory.mktemp("sifting") / "run", replace(ALONE, revision_filter=HARSH), FEW
    )


def test_a_run_learns_only_what_its_filter_leaves_and_its_records_show_it(harsh):
    folder, content = harsh.report.parent, harsh.content
    found = content["revisions"]
    record = RunRecord(name="harsh", folder=folder)
    files = {path.name: file_sha256(path) for path in model_folder(CONFIG.model).glob("*")}
    start = {record.named["model"]: {"files": files}}

    assert found["left_out"] == {"boilerplate": found["revised"] - found["kept"]}
    assert 0 < found["kept"] < found["revised"]
    assert len((folder / LEFT_OUT).read_text().splitlines()) == found["left_out"]["boilerplate"]
    assert any(f"revised and {found['kept']} of them imitated" in e for e in content["summary"])
    assert record.config.revision_filter == HARSH
    said = json.loads((folder / "models" / "final" / "result.json").read_text())
    assert inputs_again(record, "train/supervised", start) == said["inputs_sha256"]
    deserving = sum(bool(each.deserves_help) for each in FEW if not each.held_out)
    assert said["examples"] == found["kept"] + deserving
    assert not verify(folder / "ledger.db").problems


def test_the_same_command_again_ends_with_the_same_bytes(harsh):
    folder = harsh.report.parent
    before = {path: file_sha256(path) for path in (folder / LEFT_OUT, *harsh.model.glob("*"))}
    again = run(folder, replace(ALONE, revision_filter=HARSH), FEW)

    assert {path: file_sha256(path) for path in before} == before
    assert again.content["revisions"] == harsh.content["revisions"]
    assert again.content["summary"] == harsh.content["summary"]


def test_a_recipe_sets_the_limits_or_turns_the_filter_off():
    assert CONFIG.revision_filter == RevisionFilter()
    limits = make_config({**to_mapping(CONFIG), "revision_filter": {"most_alike": 0.2}}, "here")
    assert limits.revision_filter == RevisionFilter(most_alike=0.2)
    off = make_config({**to_mapping(CONFIG), "revision_filter": None}, "here")
    assert off.revision_filter is None
    assert "revision_filter" not in deciding(off)  # a folder of before goes on as it was begun
    assert deciding(CONFIG)["revision_filter"]["most_copied"] == 0.5
