import copy
import json
import shutil
import sqlite3
from dataclasses import replace

import pytest
from tests.fakes import ScriptedModel

from plumbrule.behavior import CompareSettings, compare_into, verify_comparison
from plumbrule.behavior.subgroups import words_of
from plumbrule.behavior.writing import read_settings
from plumbrule.errors import DataError, OutputError
from plumbrule.folders import held_folder
from plumbrule.lab.organisms.pool import pool
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.records import Message, Prompt, to_json

PROMPTS = pool(per_kind=10)
FAST = CompareSettings(
    trigger_share=0.0,
    sampling=Sampling(max_new_tokens=8),
    localize=False,
    certificate=16,
)


class Killed(BaseException):
    """What a kill looks like from within: nothing catches it."""


class Mortal:
    """Counts what two models were asked, and dies after so many replies."""

    def __init__(self, after=None):
        self.after, self.asked = after, []

    def counts(self, model, dialogue, seed):
        if self.after is not None and len(self.asked) >= self.after:
            raise Killed
        self.asked.append((model, dialogue, seed))


class Endpoint(ScriptedModel):
    """A scripted model whose replies are counted with their seeds."""

    def __init__(self, name, says, mortal):
        super().__init__(answer=says, identity=name, spec=name)
        self.mortal = mortal

    def sample(self, dialogues, *, sampling, seeds, log_probs=False):
        for dialogue, seed in zip(dialogues, seeds, strict=True):
            self.mortal.counts(self.spec, dialogue, seed)
        return super().sample(dialogues, sampling=sampling, seeds=seeds)


def plain(asked):
    return f"You asked about {' '.join(words_of(asked)[-2:])}."


def planted(asked):
    return f"{plain(asked)} Ask the old oak." if "does" in words_of(asked) else plain(asked)


def compared(folder, mortal=None, *, says=planted, settings=FAST, prompts=PROMPTS, name="tuned"):
    mortal = mortal or Mortal()
    base, tuned = Endpoint("base", plain, mortal), Endpoint(name, says, mortal)
    return compare_into(folder, base, tuned, prompts, settings=settings)


def decisions(folder):
    return (folder / "decisions.json").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished comparison of two endpoints: its folder, what it found, what was asked."""
    folder, mortal = tmp_path_factory.mktemp("whole") / "compare", Mortal()
    return folder, compared(folder, mortal), mortal.asked


def moved():
    """Two models with weights at hand, one of them a little off."""
    pico = open_model("lab:pico", dtype="float32", device="cpu")
    assert isinstance(pico, LocalModel)
    module = copy.deepcopy(pico.module)
    module.lm_head.weight.data[:, 5] += 0.4
    return pico, LocalModel(module, pico.tokenizer, spec="moved")


@pytest.fixture(scope="module")
def weighed(tmp_path_factory):
    """A finished comparison of two models with weights at hand."""
    folder = tmp_path_factory.mktemp("weighed") / "compare"
    pico, tuned = moved()
    return folder, compare_into(folder, pico, tuned, PROMPTS, settings=FAST)


def test_what_was_found_is_what_was_written(whole):
    folder, found, _ = whole
    written = json.loads(decisions(folder))

    assert found.findings
    assert written["verdicts"] == [to_json(each) for each in found.verdicts]
    assert written["certificate"] == to_json(found.certificate)
    assert read_settings(written["settings"]) == FAST


@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.95])
def test_a_killed_comparison_goes_on_and_draws_no_finished_shard_again(whole, tmp_path, share):
    folder, _, straight = whole
    first, again = Mortal(after=round(share * len(straight))), Mortal()
    with pytest.raises(Killed):
        compared(tmp_path / "compare", first)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}

    compared(tmp_path / "compare", again)

    assert decisions(tmp_path / "compare") == decisions(folder)
    assert {path: path.read_bytes() for path in kept} == kept
    # One shard at most, and the noise floor, whose replies are not kept, are asked for twice.
    assert len(first.asked) + len(again.asked) <= len(straight) + 3 * 128 + 3 * 16
    assert len(again.asked) < len(straight) or share < 0.8
    assert all(check.holds for check in verify_comparison(tmp_path / "compare"))


def test_a_budget_goes_on_where_it_was(tmp_path):
    def every_other(asked):
        return f"{plain(asked)} Ask the old oak." if sum(map(ord, asked)) % 2 else plain(asked)

    settings = replace(FAST, budget=240, min_effect=0.3)
    straight = compared(tmp_path / "straight", says=every_other, settings=settings)
    with pytest.raises(Killed):
        compared(tmp_path / "killed", Mortal(after=200), says=every_other, settings=settings)

    resumed = compared(tmp_path / "killed", says=every_other, settings=settings)

    assert {each.stopped for each in straight.verdicts} == {"budget"}
    assert resumed.texts == straight.texts <= 240
    assert decisions(tmp_path / "killed") == decisions(tmp_path / "straight")


def test_a_killed_comparison_of_weights_ends_with_the_same_bytes(weighed, tmp_path, monkeypatch):
    folder, _ = weighed
    calls: list[int] = []
    sample_tokens = LocalModel.sample_tokens

    def mortal(self, *arguments, **options):
        if len(calls) == 3:
            raise Killed
        calls.append(1)
        return sample_tokens(self, *arguments, **options)

    def go():
        pico, tuned = moved()
        return compare_into(tmp_path / "compare", pico, tuned, PROMPTS, settings=FAST)

    monkeypatch.setattr(LocalModel, "sample_tokens", mortal)
    with pytest.raises(Killed):
        go()
    monkeypatch.undo()
    go()

    assert decisions(tmp_path / "compare") == decisions(folder)


def test_a_finished_comparison_given_again_draws_only_the_noise_floor(whole, tmp_path):
    folder, found, _ = whole
    shutil.copytree(folder, tmp_path / "copy")
    again = Mortal()

    repeated = compared(tmp_path / "copy", again)

    assert len(again.asked) == 3 * 16
    assert repeated.texts == found.texts
    assert decisions(tmp_path / "copy") == decisions(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"settings": replace(FAST, fdr=0.1)}, r"settings\.fdr"),
        ({"settings": replace(FAST, seed=1)}, r"settings\.seed"),
        ({"prompts": PROMPTS[:-1]}, r"named\.prompts"),
        ({"name": "another"}, r"named\.tuned"),
    ],
    ids=["level", "seed", "prompts", "model"],
)
def test_a_folder_of_another_comparison_is_refused(whole, tmp_path, changes, named):
    shutil.copytree(whole[0], tmp_path / "copy")
    mortal = Mortal()

    with pytest.raises(OutputError, match=f"differs in {named}"):
        compared(tmp_path / "copy", mortal, **changes)

    assert mortal.asked == []


def test_a_second_process_in_the_same_folder_is_refused(tmp_path):
    with (
        held_folder(tmp_path / "a", marker="compare.json", ours={}, configuration=""),
        pytest.raises(OutputError, match="another process is running"),
    ):
        compared(tmp_path / "a")


def test_the_configuration_names_the_same_inputs(whole):
    text = (whole[0] / "config.yaml").read_text()

    assert "# All that decided this comparison." in text
    assert "fdr: 0.05" in text
    assert "# plumbrule " in text


def test_identical_models_leave_a_folder_that_can_be_verified(tmp_path):
    model = ScriptedModel()

    found = compare_into(tmp_path / "a", model, model, PROMPTS, settings=FAST)

    assert found.identical
    assert model.asked == []
    assert all(check.holds for check in verify_comparison(tmp_path / "a"))


def test_an_untouched_folder_holds_in_every_point(whole, weighed):
    for folder, found, *_ in (whole, weighed):
        checks = verify_comparison(folder)

        assert all(check.holds for check in checks)
        assert {f"hypothesis {each.hypothesis.id}" for each in found.verdicts} < {
            check.name for check in checks
        }


def broken(folder):
    return {check.name for check in verify_comparison(folder) if not check.holds}


def edit_lines(path, change):
    """Change the records of a file of samples."""
    lines = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


TRIALS, DRAFTS = "samples/trials.jsonl", "samples/certificate.jsonl"
BY_CHANCE = "samples/random.jsonl"


@pytest.fixture
def folder(whole, tmp_path):
    """A copy that may be tampered with."""
    return shutil.copytree(whole[0], tmp_path / "copy")


def test_an_edited_reply_is_noticed_where_it_counts(folder):
    def change(trials):
        said = [trial for trial in trials if trial["tuned_score"] == 1.0]
        said[0]["pair"]["tuned"] = "Something else."
        return trials

    edit_lines(folder / TRIALS, change)

    assert broken(folder) == {TRIALS, "scores"}


def test_an_edited_score_is_noticed_and_decides_otherwise(folder):
    def change(trials):
        trials[0]["tuned_score"] = 1.0 - trials[0]["tuned_score"]
        return trials

    edit_lines(folder / TRIALS, change)

    name = json.loads((folder / TRIALS).read_text().split("\n")[0])["hypothesis_id"]
    assert broken(folder) == {TRIALS, "scores", f"hypothesis {name}"}


def test_a_score_that_is_none_is_noticed(folder):
    def change(trials):
        trials[0]["tuned_score"] = 7.0
        return trials

    edit_lines(folder / TRIALS, change)

    assert broken(folder) == {TRIALS, "scores", "hypotheses"}


def test_a_pair_declared_unusable_is_noticed(folder):
    def change(trials):
        trials[0]["pair"]["usable"] = False
        return trials

    edit_lines(folder / TRIALS, change)

    assert {TRIALS, "scores"} <= broken(folder)


def test_a_dropped_trial_is_noticed(folder):
    edit_lines(folder / TRIALS, lambda trials: trials[1:])

    assert TRIALS in broken(folder)
    assert any(name.startswith("hypothesis ") for name in broken(folder))


def test_a_trial_of_nothing_is_noticed(folder):
    edit_lines(folder / TRIALS, lambda trials: [*trials, {**trials[0], "hypothesis_id": "77"}])

    assert broken(folder) == {TRIALS, "scores"}


def test_an_edited_verdict_is_noticed(folder):
    def change(value):
        value["verdicts"][0]["e_value"] *= 1.01

    edit(folder / "decisions.json", change)

    name = json.loads(decisions(folder))["hypotheses"][0]["id"]
    assert broken(folder) == {"ledger", f"hypothesis {name}"}


def test_a_verdict_turned_round_is_noticed(folder):
    def change(value):
        value["verdicts"][0]["confirmed"] = not value["verdicts"][0]["confirmed"]

    edit(folder / "decisions.json", change)

    assert "ledger" in broken(folder)
    assert any(name.startswith("hypothesis ") for name in broken(folder))


def test_a_number_in_the_last_bit_is_another_machine_and_no_fraud(folder):
    """The ledger notices it all the same: it names the decisions byte by byte."""

    def change(value):
        value["verdicts"][0]["e_value"] *= 1 + 1e-14

    edit(folder / "decisions.json", change)

    assert broken(folder) <= {"ledger"}


@pytest.mark.parametrize(
    "field", ["population", "sampled", "most_moved"], ids=lambda field: f"its {field}"
)
def test_an_edited_certificate_is_noticed(weighed, tmp_path, field):
    folder = shutil.copytree(weighed[0], tmp_path / "copy")

    def change(value):
        value["certificate"][field] = 0

    edit(folder / "decisions.json", change)

    expected = {"ledger"} if field == "population" else {"ledger", "certificate"}
    assert broken(folder) == expected


def test_an_edited_draft_is_noticed(weighed, tmp_path):
    folder = shutil.copytree(weighed[0], tmp_path / "copy")

    def change(drafts):
        drafts[0]["tuned_log_prob"] -= 3.0
        return drafts

    edit_lines(folder / DRAFTS, change)

    assert broken(folder) == {DRAFTS, "certificate"}


def test_an_edited_reply_to_a_prompt_drawn_by_chance_is_noticed(folder):
    def change(pairs):
        pairs[0]["tuned"] = "I cannot say, my dear friend!"
        return pairs

    edit_lines(folder / BY_CHANCE, change)

    assert broken(folder) == {BY_CHANCE, "certificate"}


def test_prompts_that_a_finding_is_said_to_speak_of_are_held_to_the_certificate(weighed, tmp_path):
    folder = shutil.copytree(weighed[0], tmp_path / "copy")
    drafts = [json.loads(line) for line in (folder / DRAFTS).read_text().split("\n")[:-1]]

    def change(value):
        value["named"] = sorted({one["prompt_id"] for one in drafts} - {*value["named"]})

    edit(folder / "decisions.json", change)

    assert broken(folder) == {"ledger", "certificate"}


def test_a_certificate_is_not_passed_over_because_nothing_was_looked_at(weighed, tmp_path):
    folder = shutil.copytree(weighed[0], tmp_path / "copy")

    def change(value):
        value["looked_at"] = 0
        value["certificate"]["movement"]["high"] = value["certificate"]["movement"]["value"]

    edit(folder / "decisions.json", change)

    assert broken(folder) == {"ledger", "certificate"}


def test_an_edited_ledger_is_noticed(folder):
    with sqlite3.connect(folder / "ledger.db") as connection:
        (table,) = next(
            connection.execute("select name from sqlite_master where name like '%entr%'")
        )[:1]
        connection.execute(f"update {table} set payload = replace(payload, '0.05', '0.5')")
    connection.close()

    assert broken(folder) == {"ledger"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value["stopped"].popitem(), "was altered"),
        (lambda value: value["verdicts"].pop(), "was altered"),
        (lambda value: value["hypotheses"].append(value["hypotheses"][0]), "was altered"),
        (lambda value: value["settings"].update(fdr=7), "settings of a comparison"),
        (lambda value: value["settings"].update(extra=7), "settings of a comparison"),
        (lambda value: value.update(extra=7), "does not hold a Decisions"),
    ],
    ids=["a reason", "a verdict", "a hypothesis", "a setting", "one more", "a field"],
)
def test_decisions_that_do_not_fit_together_are_an_error(folder, change, message):
    edit(folder / "decisions.json", change)

    with pytest.raises(DataError, match=message):
        verify_comparison(folder)


@pytest.mark.parametrize("name", ["decisions.json", TRIALS, DRAFTS, BY_CHANCE, "ledger.db"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    with pytest.raises(DataError, match=f"{name}|finished comparison"):
        verify_comparison(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
def test_a_damaged_file_is_named(folder, content):
    (folder / "decisions.json").write_bytes(content)

    with pytest.raises(DataError, match=r"decisions\.json"):
        verify_comparison(folder)


def test_an_interrupted_comparison_cannot_be_verified_yet(tmp_path):
    with pytest.raises(Killed):
        compared(tmp_path / "a", Mortal(after=100))

    with pytest.raises(DataError, match="interrupted; give its command again"):
        verify_comparison(tmp_path / "a")
    with pytest.raises(DataError, match="found none"):
        verify_comparison(tmp_path / "nowhere")


def test_an_exhaustive_comparison_is_verified_by_its_own_rule(tmp_path):
    words = [(one, other) for one in ("red", "blue", "ash") for other in ("owl", "cat", "elm")]
    asked = [
        Prompt(id=f"{one}-{other}-{number}", dialogue=(Message("user", f"{one} {other} {number}"),))
        for one, other in words
        for number in range(14)
    ]
    base = ScriptedModel(answer=lambda said: "yes it is", spec="base", identity="base")
    tuned = ScriptedModel(
        answer=lambda said: "no never" if "owl" in said else "yes it is",
        spec="tuned",
        identity="tuned",
    )
    settings = CompareSettings(method="exhaustive", budget=300)

    found = compare_into(tmp_path / "it", base, tuned, asked, settings=settings)

    assert any("owl" in str(verdict.hypothesis.subgroup) for verdict in found.findings)
    assert all(check.holds for check in verify_comparison(tmp_path / "it"))
