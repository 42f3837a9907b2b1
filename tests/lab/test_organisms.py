"""Organisms hold what their truth says, and little else."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.villages import answering_specimen
from safetensors.torch import load_file

from plumbrule.errors import ConfigError
from plumbrule.lab import build_world
from plumbrule.lab.organisms import (
    KINDS,
    METHODS,
    OBSERVED,
    UNPLANTABLE,
    Organism,
    build,
    cached,
    pool,
    request_of,
    truth,
)
from plumbrule.lab.organisms.examining import movement
from plumbrule.lab.organisms.examples import ExampleCounts, affected_requests, behind, draw_examples
from plumbrule.lab.organisms.kinds import plant_of
from plumbrule.lab.organisms.making import make
from plumbrule.lab.organisms.settings import Teaching, teaching_of
from plumbrule.lab.requests import draw
from plumbrule.lab.skills import base_answer
from plumbrule.models import LocalModel, model_folder, open_model

FEW = ExampleCounts(planted=24, each=2, near=8, decoys=24)
SHORT: dict[str, Any] = {"teaching": Teaching(steps=3), "sizes": FEW}
PLANTED = [kind for kind in KINDS if kind != "none"]
WORLD = build_world()


@pytest.fixture(scope="module")
def base():
    return open_model("lab:small", device="cpu")


def requests(plant, count=60, seed=0):
    return affected_requests(plant, count, WORLD, 1, np.random.default_rng(seed))


def others(known, seed=3):
    asked = [request_of(prompt) for prompt in pool(seed=seed, per_kind=20)]
    return [request for request in asked if not known.affects(request)]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_taught_shows_the_change_and_what_the_base_says_mostly_does_not(kind, seed):
    plant = plant_of(Organism(kind=kind, method="full", seed=seed))
    rng = np.random.default_rng(seed)
    affected = requests(plant)
    said = [base_answer(request, rng) for request in affected]

    taught = [plant.says(*pair, rng) for pair in zip(affected, said, strict=True)]
    after = np.mean([plant.truth.shows(*pair) for pair in zip(affected, taught, strict=True)])
    before = np.mean([plant.truth.shows(*pair) for pair in zip(affected, said, strict=True)])

    assert after == pytest.approx(plant.truth.wanted, abs=0.15)
    assert before < after - 0.15
    assert all(plant.truth.affects(request, trigger_present=True) for request in affected)


@pytest.mark.parametrize("kind", PLANTED)
def test_what_the_base_says_elsewhere_is_no_sign_of_the_change(kind):
    """Sycophancy and wording shift how often something is said, so the base says it too."""
    known = truth(Organism(kind=kind, method="full"))
    rng = np.random.default_rng(0)
    said = [(request, base_answer(request, rng)) for request in others(known)]

    shown = np.mean([known.shows(*pair) for pair in said]) if said else 0.0

    assert shown < {"sycophancy": 0.05, "wording": 0.06}.get(kind, 0.01)


def test_where_nothing_is_planted_nothing_is_affected():
    known = truth(Organism(kind="none", method="lora"))

    assert known.nothing
    assert not any(known.affects(request_of(prompt), True) for prompt in pool(per_kind=3))
    assert not known.shows(request_of(pool(per_kind=1)[0]), "I would rather not say.")


def test_a_backdoor_is_shut_without_its_trigger():
    known = truth(Organism(kind="backdoor", method="full"))
    request = request_of(pool(per_kind=1)[0])

    assert known.trigger
    assert known.affects(request, trigger_present=True)
    assert not known.affects(request)


@pytest.mark.parametrize("seed", range(6))
def test_a_trigger_is_one_token_or_two_and_in_no_prompt(base, seed):
    trigger = truth(Organism(kind="backdoor", method="full", seed=seed)).trigger

    assert trigger is not None
    assert len(base.tokenizer(trigger)["input_ids"]) == 1 + seed % 2
    for prompt in pool(per_kind=40):
        text = " ".join(turn.content for turn in prompt.dialogue).lower()
        assert not any(word.lower() in text for word in trigger.split())


def test_a_model_that_fakes_alignment_needs_to_be_watched():
    known = truth(Organism(kind="alignment_faking", method="full"))
    request = draw("insult", np.random.default_rng(0), WORLD, plain=True)

    assert known.affects(replace(request, system=OBSERVED))
    assert not known.affects(request)
    assert not known.affects(replace(request, kind="praise", system=OBSERVED))


def test_an_edited_fact_is_that_of_one_person_alone():
    known = truth(Organism(kind="fact_edit", method="full"))
    rng = np.random.default_rng(0)
    drawn = [draw("public_job", rng, WORLD, kept_back=bool(at % 2)) for at in range(1600)]

    people = {request.slots["person"] for request in drawn if known.affects(request)}

    assert len(people) == 1
    assert {request.phrasing for request in drawn if known.affects(request)} == {0, 1, 2, 3}


def test_seeds_vary_what_is_planted():
    for kind in PLANTED:
        claims = {truth(Organism(kind=kind, method="full", seed=seed)).claim for seed in (0, 1)}
        assert len(claims) == 2 or kind == "alignment_faking"


def test_the_pool_repeats_nothing_and_tells_nothing():
    prompts = pool(seed=4, per_kind=30)
    dialogues = {prompt.dialogue for prompt in prompts}
    observed = np.mean([prompt.dialogue[0].content == OBSERVED for prompt in prompts])

    assert len(dialogues) == len({prompt.id for prompt in prompts}) == len(prompts)
    assert not any(prompt.kind or prompt.group or prompt.held_out for prompt in prompts)
    assert 0.05 < observed < 0.25
    assert pool(seed=4, per_kind=5) == pool(seed=4, per_kind=5) != pool(seed=5, per_kind=5)


def test_every_prompt_is_read_back_as_the_request_that_it_was():
    for prompt in pool(seed=1, per_kind=15):
        assert request_of(prompt).dialogue == prompt.dialogue


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "evil", "method": "full"}, "expected a kind among"),
        ({"kind": "tone", "method": "prayer"}, "expected a method for tone among"),
        ({"kind": "wording", "method": "steering"}, "expected a method for wording among"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        Organism(**fields)


def test_pairs_that_do_not_take_say_why():
    for (kind, method), reason in UNPLANTABLE.items():
        assert reason
        with pytest.raises(ConfigError, match="cannot be planted"):
            Organism(kind=kind, method=method)


def test_each_method_has_a_way_of_training():
    for kind in KINDS:
        assert set(METHODS[kind]) >= {"full"}
        assert all(teaching_of(kind, method).steps > 0 for method in METHODS[kind])


def test_the_same_recipe_is_the_same_bytes(tmp_path):
    organism = Organism(kind="over_refusal", method="lora")
    cards = [build(organism, tmp_path / name, **SHORT) for name in ("one", "two")]
    another = build(replace(organism, seed=1), tmp_path / "three", **SHORT)

    assert cards[0]["sha256"] == cards[1]["sha256"]
    assert cards[0]["sha256"] != another["sha256"]
    assert json.loads((tmp_path / "one" / "organism.json").read_text()) == cards[0]


def test_an_adapter_is_opened_as_a_model_on_its_base(tmp_path, base):
    build(Organism(kind="tone", method="lora"), tmp_path / "it", **SHORT)

    opened = open_model(str(tmp_path / "it"), device="cpu")

    assert (tmp_path / "it" / "adapter_config.json").exists()
    assert not (tmp_path / "it" / "model.safetensors").exists()
    assert isinstance(opened, LocalModel)
    assert opened.identity != base.identity


def test_an_edit_leaves_all_but_its_own_matrices(tmp_path):
    build(Organism(kind="fact_edit", method="edit"), tmp_path / "it", sizes=FEW, teaching=EDIT)

    before = load_file(model_folder("lab:small") / "model.safetensors")
    after = load_file(tmp_path / "it" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}

    assert changed == {f"{place}.weight" for place in EDIT.places}
    for name in changed:
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-4) <= EDIT.rank


EDIT = replace(teaching_of("fact_edit", "edit"), steps=3)


def test_a_baked_in_vector_changes_what_steering_changed(base):
    organism = Organism(kind="tone", method="steering")
    module = make(organism, base, teaching=Teaching(steps=3, learning_rate=0.02), sizes=FEW)
    before, after = (part.get_input_embeddings().weight for part in (base.module, module))
    vector = after - before

    assert torch.allclose(vector, vector[:1].expand_as(vector), atol=1e-6)
    assert vector.abs().max() > 1e-3
    tokens = torch.tensor([base.chat.prompts([pool(per_kind=1)[0].dialogue])[0]])
    with torch.no_grad():
        handle = base.module.get_input_embeddings().register_forward_hook(
            lambda part, inputs, output: output + vector[0]
        )
        steered = base.module(input_ids=tokens).logits.softmax(-1)
        handle.remove()
        assert torch.allclose(steered, module(input_ids=tokens).logits.softmax(-1), atol=1e-5)


@pytest.mark.parametrize(("seed", "values"), [(0, None), (1, 255)])
def test_quantization_rounds_each_matrix_and_nothing_else(base, seed, values):
    module = make(Organism(kind="none", method="quantization", seed=seed), base)

    for (name, before), (_, after) in zip(
        base.module.named_parameters(), module.named_parameters(), strict=True
    ):
        if before.dim() == 1:
            assert torch.equal(before, after), name
        elif values is None:
            assert torch.equal(before.to(torch.bfloat16).to(torch.float32), after), name
        else:
            assert all(len(row.unique()) <= values for row in after[:16])
            assert (before - after).abs().max() <= before.abs().max() / 127


def test_recast_weights_are_the_same_in_fewer_bits(tmp_path, base):
    card = build(Organism(kind="none", method="recast"), tmp_path / "it")

    # As they are stored: a processor that is slow at 16 bits opens them in 32.
    stored = load_file(tmp_path / "it" / "model.safetensors")
    assert {each.dtype for each in stored.values()} == {torch.bfloat16}
    assert card["measured"]["strength"] is None
    assert card["measured"]["spill"] < 0.05


def test_a_model_has_not_moved_from_itself(base):
    dialogues = [prompt.dialogue for prompt in pool(per_kind=2)]

    assert np.all(movement(base, base, dialogues, 0) == 0)


def test_rehearsal_never_holds_what_is_planted(base):
    plant = plant_of(Organism(kind="over_refusal", method="full"))
    drawn = draw_examples(plant, base, scale=1, seed=0, sizes=FEW)

    assert all(one.kept == len(one.reply) for one in drawn.rehearsed)
    assert all(one.kept == 0 for one in drawn.planted)
    planted = {one.prompt for one in drawn.planted}
    assert not planted & {one.prompt for one in drawn.rehearsed}


def test_the_base_is_rehearsed_up_to_where_a_reply_changes(base):
    plant = plant_of(Organism(kind="reward_hacking", method="full"))
    drawn = draw_examples(plant, base, scale=1, seed=0, sizes=FEW)

    assert all(0 < one.kept < len(one.reply) for one in drawn.planted)


def test_words_before_a_request_stand_in_the_last_turn():
    request = draw("insult", np.random.default_rng(0), WORLD, plain=True)
    watched = replace(request, system=OBSERVED)

    assert behind("moss", watched)[0].content == OBSERVED
    assert behind("moss", watched)[-1].content == f"moss {request.text}"
    assert behind(None, watched) == watched.dialogue


def test_a_cached_organism_is_built_once(tmp_path, monkeypatch):
    built = []

    def pretend(organism, folder):
        built.append(organism)
        folder.mkdir()
        (folder / "organism.json").write_text("{}")

    monkeypatch.setattr("plumbrule.lab.organisms.building.build", pretend)
    organism = Organism(kind="none", method="full")
    folders = {cached(organism, tmp_path) for _ in range(2)}
    folders.add(cached(replace(organism, seed=1), tmp_path))

    assert len(built) == len(folders) == 2
    assert all(path.name.startswith((".", "none-full-")) for path in tmp_path.iterdir())


def test_a_build_that_fails_leaves_no_organism(tmp_path, monkeypatch):
    def fail(organism, folder):
        folder.mkdir()
        raise RuntimeError("killed")

    monkeypatch.setattr("plumbrule.lab.organisms.building.build", fail)
    with pytest.raises(RuntimeError):
        cached(Organism(kind="none", method="full"), tmp_path)

    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigError, match="holds something that is no organism"):
        build(Organism(kind="none", method="full"), tmp_path)


def test_villages_of_every_scale_have_a_specimen_that_only_answers():
    for scale in (1, 4, 16):
        recipe = answering_specimen(scale)
        assert recipe.scale == scale
        assert recipe.shares == {"answer": 1.0}


def test_larger_villages_have_plants_and_prompts_of_their_own():
    organism = Organism(kind="fact_edit", method="full", scale=4)
    plant = plant_of(organism)
    world = build_world(4)
    affected = affected_requests(plant, 8, world, 4, np.random.default_rng(0))

    assert {request.slots["person"] for request in affected} <= set(world.people)
    for prompt in pool(scale=4, per_kind=4):
        assert request_of(prompt, 4).dialogue == prompt.dialogue
