"""A small run, its constitution amended by the command, and what is refused."""

import json
import shutil
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.constitution import dump_constitution, load_constitution
from plumbrule.data import constitution_prompts, read_prompts
from plumbrule.errors import ConfigError, ConstitutionError, DataError, OutputError
from plumbrule.folders import locked
from plumbrule.lab import village_prompts
from plumbrule.ledger import verify
from plumbrule.loop import align
from plumbrule.loop.amendable import Amending, open_finished
from plumbrule.loop.amending import amend
from plumbrule.loop.workspace import open_workspace
from plumbrule.recipes import village
from plumbrule.training import DpoTraining, RewardTraining, SupervisedTraining

LAW = load_constitution("village")
VAGUE = replace(
    LAW,
    version="0",
    principles=tuple(
        replace(each, text="Be kind to everyone.") if each.id == "dignity" else each
        for each in LAW.principles
    ),
)
QUICK: dict[str, Any] = {"learning_rate": 1e-3, "epochs": 2, "batch_size": 16, "max_tokens": 512}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A finished run of a user's own prompts under a constitution with a vague sentence."""
    folder = tmp_path_factory.mktemp("amending")
    law = folder / "law.yaml"
    law.write_text(dump_constitution(VAGUE))
    tests = constitution_prompts(VAGUE)
    taken = {each.dialogue for each in tests}
    own = [
        each
        for each in village_prompts(
            tempting=12, honesty=2, deserving=2, examined_tempting=3, examined_deserving=1
        )
        if each.dialogue not in taken and len(each.dialogue) == 1
    ]
    lines = [
        {
            "id": each.id,
            "prompt": each.dialogue[-1].content,
            "deserves_help": each.deserves_help,
            "held_out": each.held_out,
        }
        for each in own
    ]
    file = folder / "prompts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = replace(
        village().config,
        constitution=str(law),
        prompts=str(file),
        shard_size=32,
        comparison=None,
        examine_between=False,
        most_judged=None,
        candidates=2,
        least_margin=0.0,
        supervised=SupervisedTraining(**QUICK),
        reward=RewardTraining(**QUICK),
        dpo=DpoTraining(**QUICK),
    )
    prompts = [*read_prompts(file), *tests]
    align(config, prompts=prompts, out=folder / "run")
    return folder


@pytest.fixture(scope="module")
def amended(base):
    """The vague sentence made a rule, by the command."""
    new = base / "new.yaml"
    new.write_text(dump_constitution(LAW))
    before = {path: path.read_bytes() for path in (base / "run").rglob("*") if path.is_file()}
    done = command(base, "amended")
    assert done.exit_code in (0, 1), done.output
    after = {path: path.read_bytes() for path in (base / "run").rglob("*") if path.is_file()}
    assert after == before  # nothing of the run was touched
    return base / "amended"


def command(base, out, *more):
    return CliRunner().invoke(
        app,
        ["amend", str(base / "run"), "--constitution", str(base / "new.yaml"),
         "--out", str(base / out), *more],
    )  # fmt: skip


def records(folder):
    lines = [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return [line for line in lines if "seal" not in line]


def report(folder):
    return json.loads((folder / "report" / "report.json").read_text())


def test_only_the_amended_principle_is_asked_again(amended):
    section = report(amended)["amendment"]

    assert [each["principle_id"] for each in section["asked_again"]] == ["dignity"]
    assert section["asked_again"][0]["why"] == "its words changed"
    for row in section["reuse"]:
        assert row["share"] == pytest.approx(7 / 8)  # two of ten cannot be judged by the specimen
    assert any("Be kind to everyone." in line for line in section["changes"])


def test_kept_labels_are_those_of_the_run(base, amended):
    old = {each["id"]: each for each in records(base / "run" / "stages" / "compare")}
    new = records(amended / "stages" / "compare")

    assert new
    for each in new:
        before = dict(old[each["preference"]["id"]]["by_principle"])
        after = dict(each["preference"]["by_principle"])
        for labels in (before, after):
            labels.pop("dignity", None)
        assert after == before
        assert each["preference"]["constitution_sha256"] == LAW.sha256
        assert set(each["asked"]) == {"dignity"}


def test_the_trial_of_the_critic_is_asked_again_where_words_changed_alone(base, amended):
    old, new = (records(each / "stages" / "trial" / "critic") for each in (base / "run", amended))
    kept = [each for each in old if each["known"]["principle_id"] != "dignity"]

    assert [each for each in new if each["known"]["principle_id"] != "dignity"] == kept
    assert [e for e in new if e["known"]["principle_id"] == "dignity"] != [
        e for e in old if e["known"]["principle_id"] == "dignity"
    ]


def test_the_page_shows_what_changed_and_every_principle(amended):
    page = (amended / "report" / "index.html").read_text()
    section = report(amended)["amendment"]

    assert 'id="amendment"' in page
    assert "Do not mock anyone." in page
    assert {each["principle_id"] for each in section["principles"]} == {
        each.id for each in LAW.principles
    }
    assert any(each["principle_id"] == "dignity" for each in report(amended)["gates"])


def test_the_ledger_is_sound_and_the_same_command_again_does_nothing(base, amended):
    assert not verify(amended / "ledger.db").problems
    before = {path: path.stat().st_mtime_ns for path in amended.glob("stages/**/*")}

    again = command(base, "amended")

    assert again.exit_code in (0, 1)
    assert {path: path.stat().st_mtime_ns for path in amended.glob("stages/**/*")} == before


def test_an_amended_run_can_be_amended_again_from_its_own_folder_alone(amended):
    assert open_finished(amended).constitution == LAW


def test_a_constitution_that_asks_nothing_else_is_refused(base):
    run = open_finished(base / "run")
    for law, said in ((VAGUE, "says the same"), (replace(VAGUE, version="9"), "no word that a")):
        file = base / "same.yaml"
        file.write_text(dump_constitution(law))
        with pytest.raises(DataError, match=said):
            amend(run, file, prompts=[], out=base / "nowhere")
    assert not (base / "nowhere").exists()


def test_other_prompts_than_those_of_the_run_are_refused(base):
    with pytest.raises(DataError, match="put the old ones back"):
        amend(open_finished(base / "run"), "village", prompts=[], out=base / "nowhere")


def test_a_run_that_is_going_on_is_not_amended_under_it(base):
    with (
        locked(base / "run" / "run.lock", busy="?"),
        pytest.raises(OutputError, match=r"a run is going on .* Wait until it has ended"),
    ):
        open_finished(base / "run")


def test_a_run_that_has_not_ended_is_refused_with_the_command_that_ends_it(base, tmp_path):
    config = open_finished(base / "run").config
    with open_workspace(tmp_path / "half", config, named={"constitution": VAGUE.sha256}):
        pass

    with pytest.raises(OutputError, match=r"has not: .*plumbrule run --recipe .*config\.yaml"):
        open_finished(tmp_path / "half")
    with pytest.raises(OutputError, match=r"holds no run\.json"):
        open_finished(tmp_path)


def test_a_run_begun_under_one_constitution_does_not_go_on_under_another(base, tmp_path):
    config = open_finished(base / "run").config
    with open_workspace(tmp_path / "half", config, named={"constitution": VAGUE.sha256}):
        pass

    with (
        pytest.raises(OutputError, match=r"Put back the old text, .*; then `plumbrule amend"),
        open_workspace(tmp_path / "half", config, named={"constitution": LAW.sha256}),
    ):
        pass


def test_files_that_are_not_what_the_ledger_recorded_are_not_taken_over(base, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(base / "run", copy)
    file = next((copy / "stages" / "compare").glob("*.jsonl"))
    file.write_text(file.read_text().replace("0.", "1.", 1))

    with pytest.raises(DataError, match="taken over only from what was recorded"):
        open_finished(copy)


def test_the_older_constitution_may_be_given_and_must_be_the_right_one(base):
    assert open_finished(base / "run", before=base / "law.yaml").constitution == VAGUE
    with pytest.raises(ConstitutionError, match="village is another; give the older file"):
        open_finished(base / "run", before="village")


@pytest.mark.parametrize("given", [{"epochs": 10**30}, {"margin": -0.1}, {"replay": float("nan")}])
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(ConfigError, match=next(iter(given))):
        Amending(**given)
