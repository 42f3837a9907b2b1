import json
from dataclasses import replace

import pytest

from plumbrule.errors import DataError, OutputError
from plumbrule.lab import village_prompts
from plumbrule.ledger import verify
from plumbrule.loop import RunConfig, align, make_config, read_config, to_mapping
from plumbrule.models import open_model
from plumbrule.recipes import village, village_oracle
from plumbrule.store import file_sha256

CONFIG = replace(village().config, shard_size=32)
PROMPTS = village_prompts(
    tempting=24, honesty=4, deserving=6, examined_tempting=12, examined_deserving=2
)

UNABLE = {"be-helpful", "no-flattery"}
"""Where the specimen, as its own judge, does no better than chance: it is not asked."""


def run(out, config=CONFIG, prompts=PROMPTS, **more):
    return align(config, prompts=prompts, out=out, oracle=village_oracle, **more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def report(finished):
    return json.loads((finished.report / "report.json").read_text())


def test_the_report_holds_what_is_promised(report):
    assert {
        "seconds", "peak_rss_bytes", "constitution_sha256", "gates_passed", "stages", "principles",
        "helpfulness", "over_refusal", "evasiveness", "findings",
    } <= set(report)  # fmt: skip
    for principle in report["principles"]:
        for stage in ("before", "supervised", "final"):
            assert set(principle[stage]["violation_rate"]) == {"judge", "oracle"}
            assert set(principle[stage]["counts"]) == {
                "passed", "failed", "refused", "errored", "not_applicable",
            }  # fmt: skip
    for stage in report["stages"]:
        assert {"name", "seconds", "tokens_generated", "tokens_scored", "calls"} <= set(stage)


def test_every_judgment_is_accounted_for(report):
    examined = sum(prompt.held_out for prompt in PROMPTS)

    for principle in report["principles"]:
        for stage in ("before", "supervised", "final"):
            assert sum(principle[stage]["counts"].values()) == (
                0 if principle["id"] in UNABLE else examined
            )
            assert sum(principle[stage]["oracle_counts"].values()) == examined


def test_every_number_leads_to_records_that_exist(report, finished):
    folder = finished.report.parent
    paths = [row["records"] for row in report["stages"] if row["records"]]
    paths += [row["records"] for row in report["measures"]]
    paths += [path for finding in report["findings"] for path in finding["evidence"]]

    assert paths
    for path in paths:
        assert list((folder / path).glob("*.jsonl")), path


def test_what_is_not_taught_is_said_before_all_else(report):
    said = [line.split(":")[0] for line in report["summary"]]
    first = said.index("NOT TAUGHT")
    assert set(said[:first]) <= {"FAILED"}
    assert "`no-flattery`" in report["summary"][first]
    assert {row["principle_id"] for row in report["trials"] if row["works"] is False} == UNABLE
    assert not any("no-flattery" in each["name"] for each in report["gates"])


def test_training_changed_the_model_in_the_intended_direction(report):
    row = next(row for row in report["measures"] if row["name"].startswith("Prohibited"))

    assert row["before"]["value"] >= 0.9
    # A tenth of the recipe's prompts: a long way, not the whole way.
    assert row["final"]["high"] < row["before"]["low"]


def test_the_largest_change_is_found_and_says_at_which_error_rate(report):
    claims = [each for each in report["findings"] if each["principle_id"] == "privacy"]

    assert len(claims) == 1
    assert claims[0]["estimate"]["high"] < 0
    assert claims[0]["guarantee"]["family_size"] >= 10


def test_the_ledger_is_sound_and_names_every_stage(finished):
    found = verify(finished.report.parent / "ledger.db")

    assert not found.problems
    assert found.entries >= 20


def test_a_finished_run_that_is_given_again_tells_of_the_most_memory_it_took(
    finished, report, monkeypatch
):
    monkeypatch.setattr("plumbrule.loop.content.peak_rss_bytes", lambda: 1)
    again = run(finished.report.parent)

    assert again.content["peak_rss_bytes"] == report["peak_rss_bytes"] > 1


def test_the_final_model_is_an_ordinary_checkpoint(finished):
    from transformers import AutoModelForCausalLM

    handle = open_model(str(finished.model), dtype="float32", device="cpu")
    module = AutoModelForCausalLM.from_pretrained(finished.model)

    assert handle.describe()["parameters"] == module.num_parameters()


def test_the_same_command_again_repeats_nothing(finished):
    folder = finished.report.parent
    before = {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*")}

    again = run(folder)

    assert {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*")} == before
    assert again.content["principles"] == finished.content["principles"]


def test_another_folder_gets_the_same_weights_however_much_is_judged(finished, tmp_path):
    other = run(tmp_path / "second", replace(CONFIG, most_judged=9))

    assert file_sha256(other.model / "model.safetensors") == file_sha256(
        finished.model / "model.safetensors"
    )
    for one, all_ in zip(other.content["principles"], finished.content["principles"], strict=True):
        for stage in ("before", "supervised", "final"):
            assert sum(one[stage]["counts"].values()) == (0 if one["id"] in UNABLE else 9)
            assert one[stage]["oracle_counts"] == all_[stage]["oracle_counts"]
    assert other.content["gates"] == finished.content["gates"]
    assert any("The judge read 9 of each model's" in note for note in other.content["notes"])


def test_a_folder_is_bound_to_its_run(finished):
    with pytest.raises(OutputError, match=r"another run: it differs in config\.seed"):
        run(finished.report.parent, replace(CONFIG, seed=1))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(OutputError, match="holds something else"):
        run(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_prompts_for_both_sides_are_needed(tmp_path):
    held_out = [prompt for prompt in PROMPTS if prompt.held_out]

    with pytest.raises(DataError, match="expected prompts for training, got none"):
        run(tmp_path / "out", prompts=held_out)


def test_a_prompt_longer_than_the_context_is_refused_before_anything_is_done(tmp_path):
    from plumbrule.records import Message

    dialogue = (Message("user", "word " * 2000),)
    long = [*PROMPTS, replace(PROMPTS[0], id="long", dialogue=dialogue)]

    with pytest.raises(DataError, match="512"):
        run(tmp_path / "out", prompts=long)

    assert not (tmp_path / "out").exists()


def test_an_endpoint_cannot_be_trained(tmp_path):
    with pytest.raises(DataError, match="whose weights are at hand"):
        run(tmp_path / "out", replace(CONFIG, model="http://127.0.0.1:9/v1#m"))


def test_the_saved_configuration_is_the_whole_configuration(finished):
    path = finished.report.parent / "config.yaml"

    assert read_config(path, {}) == CONFIG


def test_a_configuration_survives_as_plain_values():
    assert make_config(to_mapping(CONFIG), "here") == CONFIG
    assert isinstance(make_config({**to_mapping(CONFIG), "method": "grpo"}, "here"), RunConfig)


def certify(folder, out, *more):
    """A certificate of the run's judge, from the answer key, as a user makes one."""
    import subprocess
    import sys

    def kept(name):
        files = sorted((folder / "stages" / "examination" / "before" / name).glob("*.jsonl"))
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line for line in lines if "seal" not in line]

    labels = out.with_suffix(".labels.jsonl")
    labels.write_text(
        "".join(
            json.dumps(
                {
                    "request": said["dialogue"][-1]["content"],
                    "reply": said["response"],
                    "principle": "privacy",
                    "broken": known["verdicts"]["privacy"] == "fail",
                }
            )
            + "\n"
            for said, known in zip(kept("replies"), kept("oracle"), strict=True)
            if known["verdicts"]["privacy"] != "unreadable"
        )
    )
    subprocess.run(
        [sys.executable, "-m", "plumbrule", "judge", "certify", "--judge", CONFIG.model,
         "--constitution", "village", "--prompts", "village", "--labels", labels, "--out", out,
         "--source", "oracle", *more],
        check=True, capture_output=True,
    )  # fmt: skip
    return replace(CONFIG, certificate=str(out))


def test_a_finished_run_takes_a_certificate_and_does_nothing_again(finished, tmp_path):
    folder = finished.report.parent
    config = certify(folder, tmp_path / "judge.json", "--run", folder)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*")}

    again = run(folder, config)

    assert {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*")} == before
    assert not verify(folder / "ledger.db").problems
    held = again.content["judge_certificate"]
    (row,) = held["principles"]
    assert row["id"] == "privacy"
    for stage in ("before", "supervised", "final"):
        rates = row[stage]["violation_rate"]
        assert rates["judge"]["value"] == pytest.approx(
            row[stage]["flagged"] / row[stage]["judged"]
        )
        assert rates["corrected"] or row[stage]["reasons"]["corrected"]
    assert any("are corrected by the certificate" in note for note in again.content["notes"])
    assert again.content["gates"] == finished.content["gates"]
    page = (folder / "report" / "index.html").read_text()
    assert "Its rates without its errors" in page
    assert finished.content["judge_certificate"] is None
    assert any("--certificate FILE" in note for note in finished.content["notes"])


def test_a_certificate_without_the_runs_borders_is_refused_and_nothing_is_lost(finished, tmp_path):
    folder = finished.report.parent
    config = certify(folder, tmp_path / "judge.json")

    with pytest.raises(DataError, match="borders and conditions of then") as refused:
        run(folder, config)

    assert f"with --run DIR for the judge of a run that examined it; here {folder}" in str(
        refused.value
    )
    assert run(folder).content["principles"] == finished.content["principles"]


def test_a_certificate_of_another_judge_is_refused_before_any_work(finished, tmp_path):
    folder = finished.report.parent
    config = certify(folder, tmp_path / "judge.json", "--run", folder)

    with pytest.raises(DataError, match="does not fit: expected judge "):
        run(tmp_path / "other", replace(config, model="lab:nano"))
    with pytest.raises(DataError, match="does not fit: expected prompts "):
        run(tmp_path / "other", replace(config, judging_prompts="default"))
    (tmp_path / "judge.json").write_text("{}")
    with pytest.raises(DataError, match="expected a judge's certificate"):
        run(tmp_path / "other", config)

    assert not (tmp_path / "other").exists()


def test_a_finished_run_takes_a_held_out_judge_that_reads_what_the_judge_read(finished):
    folder = finished.report.parent
    before = {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*.jsonl")}

    again = run(folder, replace(CONFIG, held_out_judge="lab:nano"))

    after = {path: path.stat().st_mtime_ns for path in folder.glob("stages/**/*.jsonl")}
    assert {path: after[path] for path in before} == before
    assert {path.parent.name[:14] for path in set(after) - set(before)} == {"held_out_judge"}
    found = again.content["held_out_judge"]
    assert found["spec"] == "lab:nano"
    assert len(found["principles"]) == len(again.content["principles"])
    assert again.content["gates"] == finished.content["gates"]
    assert again.content["models"]["held_out_judge"]["spec"] == "lab:nano"
    page = (folder / "report" / "index.html").read_text()
    assert "A judge that taught nothing" in page
    assert not verify(folder / "ledger.db").problems
