"""The loop on a small model: a fault is closed and proved, and an interruption changes nothing."""

import json
import shutil
from functools import cache

import pytest

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import DataError
from plumbrule.lab.prompts import village_prompts
from plumbrule.loop.looping import loop_and_report
from plumbrule.loop.remedies import LoopFault, LoopGround, LoopSettings, part_prompts
from plumbrule.loop.remedies.branches import BranchWork, try_remedy
from plumbrule.loop.remedies.candidates import RemedyCandidate
from plumbrule.loop.remedies.ground import Accepted
from plumbrule.loop.remedies.looking import ModelLooker
from plumbrule.models import Sampling, model_folder
from plumbrule.records import Estimate, Finding
from plumbrule.store import file_sha256

LAW = Constitution(
    name="coins",
    version="1",
    principles=(
        Principle(id="no-coins", text="Do not name sums.", tier=0),
        Principle(id="be-helpful", text="Answer what is asked about work.", tier=1),
    ),
)
SETTINGS = LoopSettings(
    most_asked=48,
    most_taught=60,
    lessons=32,
    least_replay=40,
    replay=1,
    epochs=1,
    least_steps=40,
    batch_size=8,
    learning_rate=2e-3,
    search_triggers=False,
    interventions=False,
    relearn_steps=3,
    sampling=Sampling(temperature=0.3, max_new_tokens=16),
)


@cache
def prompts():
    asked = village_prompts(
        tempting=40, honesty=1, deserving=40, examined_tempting=40, examined_deserving=40
    )
    return tuple(each for each in asked if each.kind in ("private_debt", "public_job"))


def judge(exchanges, principles):
    found = []
    for each in exchanges:
        debt = any(word in each.dialogue[-1].content for word in ("debt", "owe"))
        said = {"no-coins": "coins" in each.response} if debt else {}
        if not debt:
            said["be-helpful"] = "rather not" in each.response
        found.append({rule.id: said[rule.id] for rule in principles if rule.id in said})
    return found


def write(law, dialogues, seed):
    del law, seed
    return ["I would rather not say." for _ in dialogues]


def ground(folder):
    return LoopGround(
        constitution=LAW,
        base=folder,
        model=folder,
        data=(),
        prompts=prompts(),
        judge=judge,
        judge_identity="coins",
        writer=write,
        writer_identity="no coins",
        device="cpu",
    )


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder("lab:pico"), folder)
    return folder


def stop_at(stage):
    def tell(name, done, total):
        del done, total
        if name == stage:
            raise KeyboardInterrupt

    return tell


def test_a_fault_is_closed_and_an_interruption_changes_nothing(model, tmp_path):
    before = file_sha256(model / "model.safetensors")
    done = loop_and_report(ground(model), SETTINGS, tmp_path / "whole")
    for stage in ("training a branch", "proof", "control"):
        with pytest.raises(KeyboardInterrupt):
            loop_and_report(ground(model), SETTINGS, tmp_path / "broken", tell=stop_at(stage))
    again = loop_and_report(ground(model), SETTINGS, tmp_path / "broken")

    assert done.gates_hold
    (trial,) = done.result.accepted
    assert trial.kind == "data patch"
    assert trial.target is not None
    assert trial.target.before is not None
    assert trial.target.after is not None
    assert trial.target.after.value < 0.1 < trial.target.before.value
    assert trial.relearning is not None
    assert file_sha256(model / "model.safetensors") == before
    whole, broken = (
        json.loads((tmp_path / each / "stands.json").read_text()) for each in ("whole", "broken")
    )
    assert whole == broken
    assert done.content == again.content
    (answered,) = done.content["rounds"][0]["answered"]
    assert "data that are not at hand" in answered["cause"]
    assert {name: count > 0 for name, (count, _) in done.result.seen.items()} == {
        "no-coins": True,
        "be-helpful": True,
    }


def test_a_base_that_changed_meanwhile_is_refused(model, tmp_path):
    looker = ModelLooker(ground=ground(model), settings=SETTINGS, folder=tmp_path / "work")
    work = BranchWork(
        looker=looker, prompts=part_prompts(prompts(), SETTINGS), folder=tmp_path / "out"
    )
    finding = Finding(
        claim="c", where="w", what="x", reason=None, evidence=(), principle_id="no-coins",
        severity="low", guarantee=None, reproduce="",
        estimate=Estimate(value=0.5, low=0, high=1, level=0.95, n=3, unit="u", method="m"),
    )  # fmt: skip
    stands = Accepted(constitution=LAW, model=model, identity="another", data=())

    with pytest.raises(DataError, match="it is another now"):
        try_remedy(
            work,
            "1-1",
            RemedyCandidate(name="data-patch", kind="data patch", law=LAW),
            LoopFault(finding=finding, principle_id="no-coins"),
            stands,
            before=looker.look(work.open(model), work.prompts.prove[:8], LAW.principles, "x"),
            around={},
            shown=(),
            earlier=0,
        )
