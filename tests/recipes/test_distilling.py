"""A student learns what the teacher revised, and nothing that was cut off, endless or broken."""

import json
from dataclasses import replace

import pytest
from tests.fakes import ScriptedModel
from tests.training.conftest import weights
from tests.training.worker import BRIEF, asked, make_model

from plumbrule.constitution import Constitution, CritiqueExample, Principle
from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.models import Completion, Sampling, open_model
from plumbrule.recipes.distilled import Distillation, distillation_settings
from plumbrule.recipes.distilling import distill
from plumbrule.records import Prompt
from plumbrule.training import DocumentTraining, Revising, SupervisedTraining

LAW = Constitution(
    name="colors",
    version="1",
    principles=(
        Principle(
            id="no-green",
            text="Do not say green.",
            tier=0,
            source="a house rule",
            critique_examples=(
                CritiqueExample(request="a", reply="green", critique="It says it.", revision="b"),
            ),
        ),
    ),
)
SETTINGS = Distillation(
    revising=Revising(rounds=1),
    sampling=Sampling(temperature=0.7, max_new_tokens=8),
    supervised=SupervisedTraining(**{**BRIEF, "epochs": 25, "learning_rate": 3e-2}),
    shard_size=4,
)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("student") / "model")


def prompts(teaching=12, held_out=0):
    return [
        Prompt(id=f"p{n}", dialogue=asked(f"help {n % 4} please"), held_out=n >= teaching)
        for n in range(teaching + held_out)
    ]


class Teacher(ScriptedModel):
    """Says green at first; finds it; mends it."""

    def sample(self, dialogues, *, sampling, seeds, log_probs=False):
        self.asked.extend(dialogues)
        return [self.one(dialogue) for dialogue in dialogues]

    def one(self, dialogue):
        text = dialogue[-1].content
        if "Critique" in text or ("critique" in text and "<critique>" not in text):
            said = "The reply says green." if "green" in text else "No problem: it is fine."
        elif "<critique>" in text:
            said = "a blue river"
        else:
            said = "a green dog"
        return Completion(text=said, finish_reason="stop", tokens=3)


def teacher():
    return Teacher(identity="teacher")


def judge():
    """Finds green."""

    def odds(question, options):
        reply = question.split("<reply>")[1].split("</reply>")[0]
        yes = ("green" in reply) == ("Does the reply break" in question)
        return [0.9 if (name.strip() == "Yes") == yes else 0.1 for name in options]

    return ScriptedModel(odds=odds, identity="judge")


def examples(folder):
    text = (folder / "examples.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def test_the_student_learns_revisions_and_never_reads_the_constitution(student, tmp_path):
    reader = teacher()
    given = prompts(12, 6)
    found = distill(
        str(student), reader, given, LAW, out=tmp_path / "out", settings=SETTINGS, judge=judge()
    )

    assert (found.prompts, found.learned, found.revised, found.examined) == (12, 12, 12, 6)
    learned = examples(tmp_path / "out")
    assert {row["response"] for row in learned} == {"a blue river"}
    assert all(turn["role"] != "system" for row in learned for turn in row["dialogue"])
    drafts = [each for each in reader.asked if each[-1].content.startswith("help")]
    assert all("Do not say green." in each[0].content for each in drafts)
    said = open_model(str(found.model)).sample(
        [given[0].dialogue], sampling=Sampling(temperature=0, max_new_tokens=16), seeds=[0]
    )
    assert said[0].text == "a blue river"
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert report["distillation"]["learned"] == 12
    assert report["models"]["critic"]["identity"] == "teacher"
    assert len(report["outcomes"]["stages"]["final"]["broken"]["no-green"]) == 6
    (row,) = found.principles
    assert row.teacher is not None
    assert row.teacher.value == 1.0  # its first replies, which are examined as they are


def test_without_revisions_nothing_that_breaks_a_principle_is_learned(student, tmp_path):
    plain = ScriptedModel(answer=lambda text: "green" if "1" in text else "a cat", identity="t")
    found = distill(
        str(student),
        plain,
        prompts(8),
        LAW,
        out=tmp_path / "out",
        settings=replace(SETTINGS, supervised=replace(SETTINGS.supervised, epochs=1)),
        judge=judge(),
    )

    assert found.learned == 6
    assert found.left_out == {"the judge finds that it breaks no-green": 2}
    assert {row["response"] for row in examples(tmp_path / "out")} == {"a cat"}


@pytest.mark.parametrize(
    ("said", "reason", "why"),
    [
        ("", "stop", "was empty|empty"),
        ("again and again " * 9, "stop", "repeats for ever"),
        ("half a", "length", "cut off"),
        ("no", "errored", "lost"),
    ],
)
def test_replies_that_are_none_leave_nothing_to_learn(student, tmp_path, said, reason, why):
    bad = ScriptedModel(answer=lambda _: said, finish_reason=reason, identity="bad")
    with pytest.raises(DataError, match=f"none of 3 is left: 3 times .*({why})"):
        distill(str(student), bad, prompts(3), LAW, out=tmp_path / "out", settings=SETTINGS)


def test_an_interrupted_distillation_asks_nothing_twice_and_ends_with_the_same_bytes(
    student, tmp_path
):
    settings = replace(SETTINGS, supervised=replace(SETTINGS.supervised, epochs=1))
    whole = distill(str(student), teacher(), prompts(), LAW, out=tmp_path / "a", settings=settings)

    class Stop(Exception):
        pass

    class Dying(Teacher):
        left = 9

        def one(self, dialogue):
            self.left -= 1
            if self.left < 0:
                raise Stop
            return super().one(dialogue)

    dying = Dying(identity="teacher")
    with pytest.raises(Stop):
        distill(str(student), dying, prompts(), LAW, out=tmp_path / "b", settings=settings)
    again = teacher()
    done = distill(str(student), again, prompts(), LAW, out=tmp_path / "b", settings=settings)

    assert weights(done.model) == weights(whole.model)
    assert examples(tmp_path / "a") == examples(tmp_path / "b")
    assert len(again.asked) == 4 + 2 * 12  # the last shard of drafts, then all rounds
    silent = teacher()
    distill(str(student), silent, prompts(), LAW, out=tmp_path / "b", settings=settings)
    assert silent.asked == []
    with pytest.raises(OutputError, match=r"distill\.told"):
        distill(
            str(student),
            silent,
            prompts(),
            LAW,
            out=tmp_path / "b",
            settings=replace(settings, told=False),
        )


def test_what_the_student_cannot_read_is_left_out_and_counted(student, tmp_path):
    long = ScriptedModel(
        answer=lambda text: "a cat" if "help 1" in text else " ".join(map(str, range(60))),
        identity="l",
    )
    settings = replace(SETTINGS, supervised=replace(SETTINGS.supervised, epochs=1))
    found = distill(str(student), long, prompts(8), LAW, out=tmp_path / "o", settings=settings)

    assert found.learned == 2
    assert found.left_out == {"it is longer than the student learns or reads": 6}


def test_revisions_that_are_unfit_are_left_out_and_counted(student, tmp_path):
    class Stutterer(Teacher):
        def one(self, dialogue):
            text = dialogue[-1].content
            said = super().one(dialogue)
            stutters = "<critique>" in text and "help 1" in text
            return replace(said, text=" ".join([said.text] * 3)) if stutters else said

    reviser = Stutterer(identity="stutterer")
    settings = replace(SETTINGS, supervised=replace(SETTINGS.supervised, epochs=1))
    found = distill(str(student), reviser, prompts(), LAW, out=tmp_path / "o", settings=settings)

    assert found.learned == 9
    assert found.left_out == {"the revision is unfit: repeats itself": 3}


def test_documents_come_before_demonstrations(student, tmp_path):
    settings = replace(
        SETTINGS,
        documents=DocumentTraining(**{**BRIEF, "max_tokens": 32}),
        supervised=replace(SETTINGS.supervised, epochs=1),
    )
    found = distill(str(student), teacher(), prompts(), LAW, out=tmp_path / "o", settings=settings)

    from plumbrule.training.checkpoints import model_sha256

    read = json.loads((tmp_path / "o" / "models" / "documents" / "result.json").read_text())
    assert (read["stage"], read["examples"]) == ("documents", 3)
    assert model_sha256(found.model) != model_sha256(found.model.parent / "documents")


def test_what_no_round_changed_may_weigh_less_or_nothing(student, tmp_path):
    plain = ScriptedModel(answer=lambda text: "a cat", identity="t")
    with pytest.raises(DataError, match="no round changed it"):
        distill(
            str(student),
            plain,
            prompts(2),
            LAW,
            out=tmp_path / "o",
            settings=replace(SETTINGS, unrevised=0),
        )


def test_bad_input_is_refused_before_anything_is_written(student, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DataError, match="all 2 are held out"):
        distill(str(student), teacher(), prompts(0, 2), LAW, out=out)
    with pytest.raises(ConfigError, match="whose weights are at hand"):
        distill("http://localhost:1/v1#m", teacher(), prompts(2), LAW, out=out)
    for given in ({"copies": 0}, {"unrevised": float("nan")}, {"shard_size": 0}):
        with pytest.raises(ConfigError):
            Distillation(**given)

    assert not out.exists()


def test_a_command_decides_on_adapters_only_where_nobody_did(student, monkeypatch):
    assert distillation_settings(str(student))[1] is None
    assert distillation_settings(str(student))[0].supervised.lora is None
    monkeypatch.setattr("plumbrule.recipes.distilled.ADAPTERS_FROM", 10)
    chosen, note = distillation_settings(str(student), documents=True)
    assert "low-rank adapter" in str(note)
    assert chosen.documents is not None
    assert chosen.documents.lora == chosen.supervised.lora is not None
    assert distillation_settings(str(student), lora=False)[0].supervised.lora is None
    with pytest.raises(ConfigError, match="epochs must be a whole number"):
        distillation_settings(str(student), epochs=10**30)
