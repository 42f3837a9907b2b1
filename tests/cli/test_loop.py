"""The verbs `loop` and `remedy` say clearly what is wrong with what they are given."""

import sys

import pytest

from plumbrule.cli.app import main
from plumbrule.loop import recipe
from plumbrule.loop.recipe import LoopRecipe, read_labels, read_recipe
from plumbrule.loop.remedies import LoopSettings
from plumbrule.training import LoraSettings

RECIPE = "constitution: village\nbase: lab:pico\njudge: village\n"


@pytest.fixture
def plumbrule(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["plumbrule", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, " ".join(capsys.readouterr().err.split())

    return call


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold fields such as"),
        ("[1, 2]", "must hold fields such as"),
        ("constitution: [", "YAML"),
        (RECIPE + "colour: red\n", "colour"),
        ("base: lab:pico\njudge: village\n", "constitution"),
        (RECIPE + "settings: {rounds: 0}\n", "rounds must be between"),
        (RECIPE + "settings: {margin: .nan}\n", "margin"),
        (RECIPE + "settings: {lora: {rank: 0}}\n", "rank must be at least 1"),
        (RECIPE + "settings: {micro_batch_size: 5}\n", "must divide batch_size"),
        (RECIPE, "expected `model`, a trained model, or `data`"),
        (RECIPE + "data: none.jsonl\n", "none.jsonl"),
        (RECIPE + "model: lab:pico\nfindings: [runs]\n", "expected findings as JSON lines"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(plumbrule, tmp_path, text, said):
    path = tmp_path / "loop.yaml"
    path.write_text(text)
    code, message = plumbrule("loop", path, "--out", tmp_path / "out")

    assert (code, said in message) == (2, True), message
    assert "Traceback" not in message


def test_a_recipe_that_is_not_there_is_refused(plumbrule, tmp_path):
    code, message = plumbrule("loop", tmp_path / "none.yaml", "--out", tmp_path / "out")

    assert (code, "there is none at" in message) == (2, True)


def test_a_folder_that_is_no_run_has_no_remedies(plumbrule, tmp_path):
    code, message = plumbrule("remedy", tmp_path, "--out", tmp_path / "out")

    assert (code, "holds no run.json" in message) == (2, True)


def test_a_recipe_is_read(tmp_path):
    path = tmp_path / "loop.yaml"
    path.write_text(RECIPE + "settings: {rounds: 2, lora: {rank: 4}}\nprompts: [village]\n")
    read = read_recipe(path)

    assert isinstance(read, LoopRecipe)
    assert (read.settings.rounds, read.prompts) == (2, ("village",))
    assert read.settings.training(3).lora == LoraSettings(rank=4)
    assert read.settings.training(3).epochs == 3


def test_remedies_learn_as_their_run_did(tmp_path, monkeypatch):
    chosen: dict[str, LoopSettings] = {}
    (tmp_path / "config.yaml").write_text(
        "constitution: village\nprompts: village\nmodel: lab:pico\nadapters: true\n"
        "supervised: {batch_size: 8, micro_batch_size: 2}\n"
    )
    monkeypatch.setattr(recipe, "ground_of_run", lambda *_, **__: None)
    monkeypatch.setattr(
        recipe, "loop_and_report", lambda _, settings, *__, **___: chosen.update(s=settings)
    )
    recipe.remedy_run(tmp_path, tmp_path / "out")
    settings = chosen["s"]

    assert (settings.lora, settings.micro_batch_size) == (LoraSettings(), 2)
    assert settings.learning_rate == pytest.approx(2e-4)


def test_labels_that_say_nothing_are_refused(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"prompt": "Who?", "reply": "Me.", "acceptable": "yes"}\n')

    with pytest.raises(Exception, match="true or false"):
        read_labels(path)
