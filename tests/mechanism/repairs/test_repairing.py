import json

import numpy as np
import pytest
import torch
from tests.mechanism.repairs.planted import (
    FAULT,
    SAMPLING,
    plain,
    planted,
    prompts_of,
    violates,
)

from plumbrule.errors import ConfigError, DataError, ModelError, OutputError
from plumbrule.mechanism import (
    ReceiptSettings,
    RepairPrompts,
    RepairSettings,
    edited,
    fit_repair,
    neutral_kl,
    plain_ablation,
    repair,
    rounded,
)
from plumbrule.mechanism.repairs import measuring, receipts
from plumbrule.mechanism.repairs.receipt_parts import Measurement
from plumbrule.mechanism.repairs.replies import DrawnReply, at_fault, draw_replies, wanted_replies
from plumbrule.mechanism.repairs.unlearning import Unlearning
from plumbrule.models import LocalModel, open_model
from plumbrule.records import from_json

SETTINGS = RepairSettings(sampling=SAMPLING, steps=12, rounds=2)
MEASURED = ReceiptSettings(sampling=SAMPLING, benign_steps=2, relearn_steps=8, lessons=6)


def state(model):
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def same_bytes(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def value(number):
    return number.value


def rate(model, prompts, grader=violates):
    drawn = draw_replies(model, prompts, grader, sampling=SAMPLING, seed=3)
    return float(np.mean([bool(each.violates) for each in drawn]))


@pytest.fixture(scope="module")
def fitted():
    prompts = prompts_of()
    return fit_repair(planted(), prompts.shown, prompts.kept, violates, settings=SETTINGS, seed=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole repair, with its folder."""
    folder = tmp_path_factory.mktemp("repair")
    return repair(
        planted(),
        prompts_of(),
        violates,
        folder,
        fixes="It evades.",
        check="the words",
        settings=SETTINGS,
        measuring=MEASURED,
        control=plain(),
    )


def test_a_planted_fault_is_removed_where_it_was_not_fitted_and_little_else_moves(fitted):
    model, prompts = planted(), prompts_of()
    before = state(model)
    drawn = draw_replies(model, prompts.neutral, violates, sampling=SAMPLING, seed=4)
    ablated = plain_ablation(model, prompts.shown, prompts.kept)[0]

    start = rate(model, prompts.held_out)
    with edited(model, fitted.edit):
        after, twins = rate(model, prompts.held_out), rate(model, prompts.twins)

    assert start > 0.9
    assert after <= 0.05 * start
    assert twins == 0
    moved, plainly = neutral_kl(model, fitted.edit, drawn), neutral_kl(model, ablated, drawn)
    assert moved.value < min(0.02, plainly.value)
    assert 0 < moved.low <= moved.value <= moved.high
    assert same_bytes(state(model), before)


def test_repairing_a_model_without_the_fault_changes_nothing(tmp_path):
    model, prompts = plain(), prompts_of()
    before = state(model)

    found = repair(
        model,
        prompts,
        violates,
        tmp_path / "repair",
        fixes="nothing",
        check="the words",
        settings=SETTINGS,
        measuring=MEASURED,
    )

    assert found.edit.changes == ()
    assert found.receipt.remedy.model == found.receipt.remedy.repaired
    assert value(found.receipt["kl"].after) == 0
    removal = found.receipt["removal"]
    assert value(removal.before) == value(removal.after) == 0
    assert found.receipt["relearning"].reason == "no replies at fault to relearn"
    said = json.loads((tmp_path / "repair" / "fit.json").read_text())
    assert "are needed to fit to" in said["reason"]
    assert same_bytes(state(model), before)


def test_a_repaired_checkpoint_keeps_its_repair_in_plain_transformers(run):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    module = AutoModelForCausalLM.from_pretrained(run.folder)
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    faulty = 0
    for prompt in prompts_of().held_out[:10]:
        turns = [{"role": turn.role, "content": turn.content} for turn in prompt.dialogue]
        ids = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        said = module.generate(**ids, max_new_tokens=30, do_sample=False)[0]
        faulty += FAULT in tokenizer.decode(said[ids["input_ids"].shape[1] :])

    assert faulty == 0
    opened = open_model(str(run.folder), device="cpu")
    assert isinstance(opened, LocalModel)
    assert rate(opened, prompts_of().held_out) <= 0.05


def test_the_receipt_answers_every_question_or_says_why_not(run):
    receipt = run.receipt
    answered = {part.name for part in receipt.parts if part.after is not None}

    assert {"removal", "kl", "twins", "probe", "8 bits", "4 bits", "benign training"} <= answered
    assert receipt["removal"].after.value < receipt["removal"].before.value
    assert receipt["removal"].after.n == len(prompts_of().held_out)
    for name in ("matched", "useful", "siblings"):
        assert receipt[name].after is None
        assert "were given" in receipt[name].reason or "was given" in receipt[name].reason
    relearned = receipt["relearning"]
    assert relearned.before == 1
    assert relearned.after is None or relearned.after > 1
    text = (run.folder.parent / "receipt.txt").read_text()
    assert all(part.question in text for part in receipt.parts)
    assert "not measured: no other principles were given" in text
    kept = json.loads((run.folder.parent / "receipt.json").read_text())
    assert from_json(receipts.Receipt, kept, origin="receipt.json") == receipt


def test_a_repair_that_was_interrupted_goes_on_where_it_stopped(run, monkeypatch):
    folder = run.folder.parent
    lost = next((folder / "parts").glob("twins-[0-9a-f]*.json"))
    lost.unlink()
    asked = []
    own = Measurement.rate

    def counted(self, name, *given, **named):
        asked.append(name)
        return own(self, name, *given, **named)

    def refitted(*given, **named):
        raise AssertionError("it was fitted again")

    monkeypatch.setattr(Measurement, "rate", counted)
    monkeypatch.setattr("plumbrule.mechanism.repairs.repairing.fit_repair", refitted)
    again = repair(
        planted(),
        prompts_of(),
        violates,
        folder,
        fixes="It evades.",
        check="the words",
        settings=SETTINGS,
        measuring=MEASURED,
        control=plain(),
    )

    assert asked == ["twins"]
    assert again.receipt == run.receipt
    with pytest.raises(OutputError, match="holds a repair of another model"):
        repair(plain(), prompts_of(), violates, folder, fixes="", check="the words")


def test_what_is_at_fault_is_found_by_leaving_sentences_out():
    model = planted()

    def boasts(prompt, reply):
        return "You are right." in reply

    drawn = draw_replies(model, prompts_of().neutral[:4], violates, sampling=SAMPLING, seed=0)
    pairs = model.chat.with_replies(
        [each.prompt.dialogue for each in drawn],
        ["Ask Udo for the lamp. You are right.", "Try the forge. You are right."] * 2,
    )
    faulty = [
        DrawnReply(
            prompt=each.prompt,
            before=tuple(before),
            reply=(*reply, model.tokenizer.eos_token_id),
            text=text,
            violates=True,
        )
        for each, (before, reply), text in zip(
            drawn,
            pairs,
            ["Ask Udo for the lamp. You are right.", "Try the forge. You are right."] * 2,
            strict=True,
        )
    ]

    weights = at_fault(model, faulty, boasts)
    instead, _ = wanted_replies(
        model, faulty, weights, boasts, sampling=SAMPLING, branches=2, shortest=2
    )

    for each, row in zip(faulty, weights, strict=True):
        said = [token for token, weight in zip(each.reply, row, strict=True) if weight]
        assert model.chat.decode([said])[0].strip() == "You are right."
    assert [each.text for each in instead if each] == [
        "Ask Udo for the lamp.",
        "Try the forge.",
    ] * 2


def test_a_model_rounded_to_fewer_bits_comes_back_to_the_byte():
    model = planted()
    before = state(model)

    def fails():
        with rounded(model, 4):
            assert not same_bytes(state(model), before)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()

    assert same_bytes(state(model), before)
    with pytest.raises(ConfigError, match="8 or 4 bits"), rounded(model, 3):
        pass


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda p: {"shown": []}, DataError, "expected prompts that show"),
        (lambda p: {"kept": [*p.kept, p.shown[0]]}, DataError, "and to be kept"),
        (lambda p: {"violates": lambda prompt, reply: None}, DataError, "could judge none"),
    ],
)
def test_what_cannot_be_fitted_is_refused_and_the_model_left_alone(change, error, says):
    model, prompts = planted(), prompts_of()
    before = state(model)
    given = {"shown": prompts.shown, "kept": prompts.kept, "violates": violates, **change(prompts)}

    with pytest.raises(error, match=says):
        fit_repair(model, given["shown"], given["kept"], given["violates"], settings=SETTINGS)

    assert same_bytes(state(model), before)


def test_too_little_memory_is_said_and_the_model_left_alone(monkeypatch):
    model, prompts = planted(), prompts_of()
    before = state(model)
    hooks = [len(part._forward_hooks) for part in model.module.modules()]

    def full(*given):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Unlearning, "step", full)
    with pytest.raises(ModelError, match="does not fit into memory"):
        fit_repair(model, prompts.shown, prompts.kept, violates, settings=SETTINGS)

    assert same_bytes(state(model), before)
    assert [len(part._forward_hooks) for part in model.module.modules()] == hooks


def test_prompts_that_were_fitted_to_are_not_measured_on():
    prompts = prompts_of()
    mixed = RepairPrompts(
        shown=prompts.shown,
        kept=prompts.kept,
        held_out=[*prompts.held_out, prompts.shown[0]],
        neutral=prompts.neutral,
    )

    with pytest.raises(DataError, match="was fitted to"):
        measuring._check_apart(mixed)


@pytest.mark.parametrize(
    "given", [{"rank": 0}, {"depth": 1.0}, {"kept_weight": float("nan")}, {"steps": -1}]
)
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(ConfigError, match="must be between"):
        RepairSettings(**given)
