"""Other ways from people to a model, through the same examination, gates, ledger and report."""

import json
from dataclasses import replace

import pytest

from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.lab import village_prompts
from plumbrule.ledger import verify
from plumbrule.loop import align, make_config, plan, to_mapping
from plumbrule.loop.config import deciding
from plumbrule.loop.runs import compare_runs
from plumbrule.people import read_items
from plumbrule.recipes import village, village_oracle, village_pairs

CONFIG = replace(
    village().config,
    model="lab:nano",
    shard_size=64,
    most_judged=6,
    comparison=None,
    examine_between=False,
    least_margin=0.05,
)
PROMPTS = village_prompts(
    tempting=8, honesty=2, deserving=2, examined_tempting=6, examined_deserving=2
)


def run(out, config, prompts=PROMPTS):
    return align(config, prompts=prompts, out=out, oracle=village_oracle)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs as a file holds them, one of them about a held-out prompt and one too long."""
    held_out = next(each for each in PROMPTS if each.held_out)
    rows = [
        {
            "dialogue": [{"role": turn.role, "content": turn.content} for turn in each.dialogue],
            "first": each.first, "second": each.second, "probability": each.probability,
        }
        for each in village_pairs(60, seed=0)
    ]  # fmt: skip
    turns = [{"role": turn.role, "content": turn.content} for turn in held_out.dialogue]
    rows.append({"dialogue": turns, "first": "Yes.", "second": "No.", "probability": 1})
    rows.append({"prompt": "word " * 600, "chosen": "Yes.", "rejected": "No."})
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def finished(pairs, tmp_path_factory):
    """A run of each way, in one folder."""
    folder = tmp_path_factory.mktemp("ways")
    configs = {
        "alone": replace(CONFIG, method="none"),
        "rlhf": replace(CONFIG, recipe="rlhf", human_pairs=str(pairs)),
        "hybrid": replace(CONFIG, recipe="hybrid", human_pairs=str(pairs)),
    }
    return {name: run(folder / name, each) for name, each in configs.items()}


def test_people_alone_teach_without_a_critic(finished):
    done = finished["rlhf"]
    folder = done.report.parent
    content = json.loads((done.report / "report.json").read_text())

    assert not (folder / "stages" / "revise").exists()
    assert not (folder / "stages" / "compare").exists()
    assert content["labels"] == {
        "people": {"pairs": 60, "replies": 60}, "ai": {"pairs": 0, "replies": 0},
    }  # fmt: skip
    assert "was trained on what people prefer: 60 replies of people's were imitated, 60 pairs" in (
        " ".join(content["summary"])
    )
    said = " ".join(content["notes"])
    assert "1 pairs left out: they ask what a held-out prompt asks" in said
    assert "1 pairs left out: they have more than the 512 tokens" in said
    assert any("The judge was examined first" in line for line in content["summary"])
    assert not any(
        "TAUGHT" in line or "Taught" in line or "was taught" in line for line in content["summary"]
    )
    assert not verify(folder / "ledger.db").problems


def test_supervised_training_may_be_the_end(finished):
    done = finished["alone"]
    content = json.loads((done.report / "report.json").read_text())

    assert (done.model / "model.safetensors").exists()
    assert [path.name for path in done.model.parent.iterdir()] == ["final"]
    assert not (done.report.parent / "stages" / "candidates").exists()
    assert content["labels"]["people"] == {"pairs": 0, "replies": 0}
    assert [each["stage"] for each in content["examples"][0]["replies"]] == ["before", "final"]


def test_both_are_weighed_and_people_are_told_what_to_look_at_next(finished):
    folder = finished["hybrid"].report.parent
    content = json.loads((finished["hybrid"].report / "report.json").read_text())

    assert content["labels"]["people"]["pairs"] == 60
    assert content["labels"]["ai"]["pairs"] > 0
    assert any("People and the critic agree on" in note for note in content["notes"])
    items = read_items(folder / "ask_people.jsonl", {})
    assert 0 < len(items) <= content["labels"]["ai"]["pairs"]
    assert not verify(folder / "ledger.db").problems


def test_the_same_command_again_repeats_nothing_and_another_file_is_another_run(
    finished, pairs, tmp_path
):
    done = finished["rlhf"]
    folder = done.report.parent
    config = replace(CONFIG, recipe="rlhf", human_pairs=str(pairs))
    times = {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*")}

    run(folder, config)

    assert {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*")} == times
    assert (
        json.loads((done.report / "report.json").read_text())["outcomes"]
        == (done.content["outcomes"])
    )
    kept = pairs.read_text()
    try:
        pairs.write_text("".join(kept.splitlines(keepends=True)[:40]))
        with pytest.raises(OutputError, match=r"it differs in named\.human_pairs"):
            run(folder, config)
    finally:
        pairs.write_text(kept)


def test_runs_stand_side_by_side(finished, tmp_path):
    folders = [each.report.parent for each in finished.values()]

    content = compare_runs(folders, out=tmp_path / "side", command="test")

    assert [row["name"] for row in content["runs"]] == ["alone", "rlhf", "hybrid"]
    for row in content["runs"]:
        assert row["helpful"]["n"] > 10
        assert row["harmless"]["n"] > 10
    for difference in content["differences"]:
        told = {row["measure"]: row["estimate"] for row in difference["rows"]}
        assert told["helpful"]["n"] == content["runs"][0]["helpful"]["n"]
        assert told["privacy"] is not None
    page = (tmp_path / "side" / "report" / "index.html").read_text()
    assert "Help against harm" in page
    assert "Pairs labeled by people" in page


def test_a_plan_counts_what_the_way_needs(pairs, tmp_path):
    told = {}
    for recipe in ("rlhf", "hybrid"):
        config = replace(CONFIG, recipe=recipe, human_pairs=str(pairs))
        found = plan(config, prompts=PROMPTS, out=tmp_path / "none")
        told[recipe] = {each.stage.name: each.stage for each in found.stages}

    assert not {"draft", "revise", "compare"} & set(told["rlhf"])
    assert told["rlhf"]["train/supervised"].calls == 60
    assert {"draft", "revise", "compare", "compare_people"} <= set(told["hybrid"])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("method", ["grpo", "rloo", "ppo"])
def test_every_method_takes_the_settings_of_its_name(pairs, tmp_path, method):
    config = replace(CONFIG, recipe="rlhf", human_pairs=str(pairs), method=method)
    found = plan(config, prompts=PROMPTS, out=tmp_path / "none")
    (last,) = [each.stage for each in found.stages if each.stage.name == f"train/{method}"]
    drawn = 1 if method == "ppo" else 8

    assert last.calls == drawn * sum(not each.held_out for each in PROMPTS)
    assert ({"rloo", "ppo"} & set(deciding(config))) == {method} & {"rloo", "ppo"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"recipe": "rlhf"}, "expected human_pairs for the recipe rlhf"),
        ({"recipe": "hybrid"}, "expected human_pairs for the recipe hybrid"),
        ({"recipe": "rhlf", "human_pairs": "f"}, "recipe"),
        ({"recipe": "hybrid", "human_pairs": "f", "method": "none"}, "takes|method none"),
        ({"demonstrations": "f"}, "does not look at"),
        ({"human_pairs": "f", "method": "none"}, "does not look at"),
        ({"recipe": "rlhf", "human_pairs": "f", "person_accuracy": 0.4}, "person_accuracy"),
    ],
)
def test_a_recipe_without_what_it_learns_from_is_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        make_config({**to_mapping(CONFIG), **fields}, "here")


def test_pairs_that_all_ask_what_is_held_out_are_refused_before_anything_is_done(tmp_path):
    held_out = next(each for each in PROMPTS if each.held_out)
    turns = [{"role": turn.role, "content": turn.content} for turn in held_out.dialogue]
    row = {"dialogue": turns, "first": "Yes.", "second": "No.", "probability": 1}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row))
    config = replace(CONFIG, recipe="rlhf", human_pairs=str(tmp_path / "pairs.jsonl"))

    with pytest.raises(DataError, match=r"none of 1 in .* can be taken; .*held-out prompt"):
        run(tmp_path / "out", config)

    assert not (tmp_path / "out").exists()


def test_a_folder_of_an_earlier_version_is_still_the_same_run():
    new = {"recipe", "human_pairs", "demonstrations", "person_accuracy"}

    assert not new & set(deciding(CONFIG))
    assert new - {"demonstrations", "person_accuracy"} <= set(
        deciding(replace(CONFIG, recipe="rlhf", human_pairs="f"))
    )
