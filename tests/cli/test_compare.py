"""What a user meets who compares two models: one message, the right exit code, a report."""

import json
import sys

import pytest
from safetensors.torch import load_file, save_file

from plumbrule.behavior import CompareSettings
from plumbrule.cli.app import main
from plumbrule.data import read_prompts
from plumbrule.lab.organisms.pool import pool
from plumbrule.loop.comparison_plan import plan_comparison
from plumbrule.loop.sizes import comparison_bytes
from plumbrule.models import Sampling, model_folder, open_model
from plumbrule.records import to_json

QUICK = ("--max-tokens", "8", "--dtype", "float32")


@pytest.fixture
def plumbrule(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["plumbrule", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, " ".join(captured.out.split()), " ".join(captured.err.split())

    return call


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    lines = [{"prompt": [to_json(turn) for turn in each.dialogue]} for each in pool(per_kind=6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The smallest specimen with two words exchanged, one of which most of its replies say."""
    folder = tmp_path_factory.mktemp("models") / "changed"
    folder.mkdir()
    for path in model_folder("lab:pico").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    weights = load_file(folder / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    rows = [tokens["\u0120the"], tokens["\u0120oak"]]
    embedding[rows] = embedding[rows[::-1]].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def compared(plumbrule, prompts, changed, tmp_path):
    ended = plumbrule(
        "compare", "lab:pico", changed, "--prompts", prompts, "--out", tmp_path / "out", *QUICK
    )
    return tmp_path / "out", ended


def test_a_plan_says_what_it_will_take_and_starts_nothing(plumbrule, prompts, changed, tmp_path):
    out = tmp_path / "out"

    code, said, _ = plumbrule(
        "compare", "lab:pico", changed, "--prompts", prompts, "--plan", "--out", out, *QUICK
    )

    assert code == 0
    assert "together, at most" in said
    assert "Memory at its peak" in said
    assert not out.exists()


def test_a_comparison_writes_no_more_than_its_plan_says(compared, prompts, changed):
    base, tuned = open_model("lab:pico"), open_model(str(changed))
    sampling = Sampling(max_new_tokens=8)

    plan = plan_comparison(
        base, tuned, read_prompts(prompts), settings=CompareSettings(sampling=sampling)
    )

    report = json.loads((compared[0] / "report" / "report.json").read_text())
    written = report["total"]["tokens_generated"]
    assert 0 < written <= sum(each.stage.tokens_written for each in plan.stages)


def test_a_change_that_stands_ends_with_1_and_a_report(compared):
    folder, (code, said, _) = compared

    report = json.loads((folder / "report" / "report.json").read_text())
    assert code == 1
    assert report["findings"]
    assert report["summary"][0] in said
    assert (folder / "report" / "index.html").exists()


def test_how_far_it_is_stands_in_a_file_too(compared):
    folder, _ = compared

    lines = (folder / "progress.log").read_text().splitlines()
    stages = [line.split(" ", 1)[1].split(",")[0].split(":")[0] for line in lines]
    assert {"noise floor", "random look", "tests", "certificate"} <= set(stages)
    assert all("so far" in line for line in lines)
    assert stages.index("noise floor") < stages.index("random look") < stages.index("tests")


def test_naive_looks_at_prompts_drawn_by_chance_and_its_folder_holds(
    plumbrule, prompts, changed, tmp_path
):
    code, said, _ = plumbrule(
        "compare", "lab:pico", changed, "--prompts", prompts, "--out", tmp_path / "out",
        "--method", "naive", *QUICK,
    )  # fmt: skip

    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert code == 1, said
    assert report["findings"]
    parts = {row["name"] for row in report["screens"]}
    assert "random look" in parts
    assert not {"cover", "following", "triggers"} & parts
    verified, _, _ = plumbrule("compare", "--verify", tmp_path / "out")
    assert verified == 0


def test_an_embedder_that_is_none_is_named(plumbrule, prompts, changed, tmp_path):
    code, _, said = plumbrule(
        "compare", "lab:pico", changed, "--prompts", prompts, "--out", tmp_path / "out",
        "--embedder", tmp_path / "none", *QUICK,
    )  # fmt: skip

    assert code == 2
    assert str(tmp_path / "none") in said
    assert "Traceback" not in said


def test_a_finished_comparison_is_verified_without_a_model(compared, plumbrule, changed):
    folder, _ = compared
    for path in changed.iterdir():
        path.rename(path.with_suffix(path.suffix + ".gone"))
    try:
        code, said, _ = plumbrule("compare", "--verify", folder)
    finally:
        for path in changed.iterdir():
            path.rename(path.with_suffix(""))

    assert code == 0
    assert "holds" in said
    assert "does not hold" not in said


def test_a_tampered_comparison_ends_with_1_and_says_where(compared, plumbrule):
    folder, _ = compared
    path = folder / "samples" / "trials.jsonl"
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[1:]))

    code, said, _ = plumbrule("compare", "--verify", folder)

    assert code == 1
    assert "does not hold samples/trials.jsonl" in said


def test_the_same_command_again_gives_the_same_report(compared, plumbrule, prompts, changed):
    folder, (code, _, _) = compared
    before = (folder / "decisions.json").read_bytes()

    again, _, _ = plumbrule(
        "compare", "lab:pico", changed, "--prompts", prompts, "--out", folder, *QUICK
    )

    assert again == code
    assert (folder / "decisions.json").read_bytes() == before


def test_another_setting_in_the_same_folder_is_refused(compared, plumbrule, prompts, changed):
    folder, _ = compared

    code, _, said = plumbrule(
        "compare", "lab:pico", changed, "--prompts", prompts, "--out", folder, "--fdr", 0.1, *QUICK
    )

    assert code == 2
    assert "settings.fdr" in said


def test_a_model_against_itself_ends_with_0_and_says_that_nothing_can_differ(
    plumbrule, prompts, tmp_path
):
    code, said, _ = plumbrule(
        "compare", "lab:pico", "lab:pico", "--prompts", prompts, "--out", tmp_path / "out"
    )

    assert code == 0
    assert "nothing can differ" in said
    assert (tmp_path / "out" / "report" / "index.html").exists()


def test_two_lab_models_need_no_prompts(plumbrule, tmp_path):
    code, _, _ = plumbrule("compare", "lab:pico", "lab:pico", "--out", tmp_path / "out")

    assert code == 0


def test_missing_prompts_are_asked_for(plumbrule, changed, tmp_path):
    code, _, said = plumbrule("compare", changed, changed, "--out", tmp_path / "out")

    assert code == 2
    assert "--prompts FILE.jsonl" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("models", [(), ("lab:pico",)], ids=["none", "one"])
def test_missing_models_are_asked_for(plumbrule, models, tmp_path):
    code, _, said = plumbrule("compare", *models, "--out", tmp_path / "out")

    assert code == 2
    assert "expected two models" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fdr", "0"), "--fdr must be strictly between 0 and 1"),
        (("--fdr", "1.5"), "--fdr must be strictly between 0 and 1"),
        (("--fdr", "nan"), "--fdr"),
        (("--fdr", "much"), "--fdr"),
        (("--min-effect", "1"), "--min-effect must be at least 0 and below 1"),
        (("--min-effect", "nan"), "--min-effect"),
        (("--budget", "0"), "budget must be at least 1"),
        (("--budget", "-5"), "budget must be at least 1"),
        (("--max-tokens", "0"), "max_new_tokens must be at least 1"),
        (("--method", "fastest"), "method"),
        (("--dtype", "float3"), "dtype"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_named(plumbrule, prompts, tmp_path, options, message):
    code, _, said = plumbrule(
        "compare", "lab:pico", "lab:nano", "--prompts", prompts, "--out", tmp_path / "out", *options
    )

    assert code == 2
    assert message in said
    assert "Traceback" not in said


def test_a_model_that_is_not_there_is_named(plumbrule, prompts, tmp_path):
    code, _, said = plumbrule(
        "compare", "lab:pico", tmp_path / "none", "--prompts", prompts, "--out", tmp_path / "out"
    )

    assert code == 2
    assert "model folder" in said


@pytest.mark.parametrize("content", [b'{"promt": "a"}\n', b"", b'{"prompt": "a"}\n'])
def test_prompts_that_cannot_be_used_are_named(plumbrule, tmp_path, content):
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)

    code, _, said = plumbrule(
        "compare", "lab:pico", "lab:nano", "--prompts", path, "--out", tmp_path / "out"
    )

    assert code == 2
    assert "prompt" in said


@pytest.mark.parametrize("kind", ["empty", "missing", "something else"])
def test_a_folder_that_is_no_comparison_cannot_be_verified(plumbrule, tmp_path, kind):
    folder = tmp_path / "a"
    if kind != "missing":
        folder.mkdir()
    if kind == "something else":
        (folder / "decisions.json").write_text("[bold]{}")

    code, _, said = plumbrule("compare", "--verify", folder)

    assert code == 2
    assert "expected" in said or "is not JSON" in said
    assert "Traceback" not in said


def test_the_verb_explains_itself(plumbrule):
    code, said, _ = plumbrule("compare", "--help")

    assert code == 0
    for option in ("--prompts", "--fdr", "--budget", "--verify", "--method", "--embedder", "--out"):
        assert option in said


def test_with_memory_for_one_model_the_same_is_found(plumbrule, prompts, changed, tmp_path):
    asked = ("compare", "lab:pico", changed, "--prompts", prompts, "--budget", 400, *QUICK)
    one = comparison_bytes(open_model("lab:pico")) / 1e9
    found = []
    for name, memory in (("both", 2 * one), ("turns", one + 1e-5)):
        out = tmp_path / name

        code, _, told = plumbrule(*asked, "--memory", memory, "--out", out)

        assert code == 1
        assert ("The models take turns in memory" in told) == (name == "turns")
        report = json.loads((out / "report/report.json").read_text())
        found.append(([each["claim"] for each in report["findings"]], report["gates"][0]))
    assert found[0] == found[1]


def test_memory_for_no_model_is_refused(plumbrule, prompts, changed, tmp_path):
    code, _, said = plumbrule(
        "compare", "lab:pico", changed, "--prompts", prompts, "--memory", 0.5, *QUICK
    )

    assert code == 2
    assert "GB of memory for" in said
    assert "0.5 GB may be taken" in said
