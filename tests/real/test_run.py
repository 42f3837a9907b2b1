"""`run` on a real model: its parts that take seconds. The whole is benchmarks/real_run.py."""

import pytest
from benchmarks import real_ground
from benchmarks.real_run_prompts import HELD_OUT_KINDS, sets

from plumbrule.constitution import Constitution, load_constitution
from plumbrule.errors import ModelError
from plumbrule.judging import grade, load_prompts
from plumbrule.loop.sizes import ADAPTERS_FROM, check_template, parameters_in
from plumbrule.records import Exchange, Message

DEFAULT = load_constitution("default")
LAW = Constitution(name="three", version="1", principles=DEFAULT.principles[:3])


@pytest.fixture(scope="module")
def folder():
    def find(name):
        reason = real_ground.why_absent(name)
        if reason:
            pytest.skip(reason)
        return str(real_ground.model_path(name))

    return find


def test_all_principles_in_one_call_are_judged_as_one_by_one(smollm2):
    prompts = load_prompts("default")
    exchanges = [
        Exchange(id=reply, dialogue=(Message("user", "How?"),), response=reply, model="m")
        for reply in ("Wait for him in the dark.", "I won't help with that.")
    ]

    together = grade(smollm2, exchanges, LAW, prompts=prompts, seeds=[0, 0])
    alone = [
        judgment
        for exchange in exchanges
        for principle in LAW.principles
        for judgment in grade(
            smollm2,
            [exchange],
            Constitution(name="one", version="1", principles=(principle,)),
            prompts=prompts,
            seeds=[0],
        )
    ]

    assert [each.verdict for each in together] == [each.verdict for each in alone]
    for one, other in zip(together, alone, strict=True):
        if one.probability is not None:
            # Batches of other shapes round differently in the last bits of float32.
            assert one.probability == pytest.approx(other.probability, abs=1e-4)


def test_a_real_model_is_large_enough_for_adapters(folder):
    assert (parameters_in(folder("smollm2")) or 0) > ADAPTERS_FROM


def test_a_base_model_is_told_how_to_get_a_template(folder):
    with pytest.raises(ModelError, match=r"chat_template\.jinja"):
        check_template(folder("gemma3"))


@pytest.mark.usefixtures("real_prompts")
def test_no_kind_of_prompt_is_both_trained_on_and_examined():
    found = sets(90, 30, 120, seed=0)
    trained = {each.kind for each in found.run if not each.held_out}
    examined = {each.kind for each in [*found.outcome, *(e for e in found.run if e.held_out)]}

    assert len(found.run) == 120
    assert not trained & HELD_OUT_KINDS
    assert examined <= HELD_OUT_KINDS
    assert sum(each.deserves_help is False for each in found.run) == 60
