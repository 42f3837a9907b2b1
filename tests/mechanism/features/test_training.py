import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import capture
from plumbrule.mechanism.features import (
    DictionarySettings,
    Reading,
    TextActivations,
    Wanted,
    held_out,
    save_dictionary,
    train_features,
)
from plumbrule.mechanism.features import training as module_under_test
from plumbrule.mechanism.features.streaming import batches

SETTINGS = DictionarySettings(
    kind="topk", latents=96, active=4, tokens=2400, batch=50, learning_rate=1e-2
)
OWN = Wanted(name="own", reading=Reading(site="1.out"), settings=SETTINGS)
ACROSS = Wanted(
    name="across",
    reading=Reading(task="transcoder", site="0.out", into="1.mlp"),
    settings=replace(SETTINGS, kind="batch_topk", tokens=1500, momentum=0.9),
)


def weights(trained):
    return {
        (name, part): getattr(each, part)
        for name, each in trained.dictionaries.items()
        for part in ("encoder", "encoder_bias", "decoder", "decoder_bias")
    }


def assert_same(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


class Stopped(Exception):
    pass


def stop_after(tokens):
    def tell(stage, done, total):
        if done >= tokens:
            raise Stopped

    return tell


def test_training_several_at_once_is_training_each(source):
    both = train_features(source, [OWN, ACROSS])

    for each in (OWN, ACROSS):
        alone = train_features(source, [each])
        assert torch.equal(
            alone.dictionaries[each.name].decoder, both.dictionaries[each.name].decoder
        )
    assert both.progress["across"].tokens[-1] == 1500
    assert both.progress["own"].loss[-1] < both.progress["own"].loss[0]


def test_a_stopped_training_ends_with_the_same_bytes(source, tmp_path, monkeypatch):
    whole = train_features(source, [OWN, ACROSS])
    for stop, every in ((600, 0.0), (1200, 1e9), (2000, 0.0)):  # the second writes no state
        monkeypatch.setattr(module_under_test, "EVERY_SECONDS", every)
        with pytest.raises(Stopped):
            train_features(source, [OWN, ACROSS], folder=tmp_path, tell=stop_after(stop))

    again = train_features(source, [OWN, ACROSS], folder=tmp_path)

    assert_same(again, whole)
    assert again.progress == whole.progress
    assert_same(train_features(source, [OWN, ACROSS], folder=tmp_path), whole)


def kill(stage, done, total):
    if done >= 1200:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_training_leaves_the_same_files(source, tmp_path, monkeypatch):
    monkeypatch.setattr(module_under_test, "EVERY_SECONDS", 0.0)
    child = os.fork()
    if not child:  # nothing of the test's own may run behind the kill
        torch.set_num_threads(1)
        train_features(source, [OWN], folder=tmp_path / "one", tell=kill)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / "one" / module_under_test.STATE).exists()

    for each in ("one", "other"):
        trained = train_features(source, [OWN], folder=tmp_path / each)
        save_dictionary(trained.dictionaries["own"], tmp_path / each / "saved")

    for name in ("cfg.json", "sae_weights.safetensors"):
        first, second = ((tmp_path / each / "saved" / name) for each in ("one", "other"))
        assert first.read_bytes() == second.read_bytes()


def test_a_loss_that_is_no_number_keeps_the_last_state(source, tmp_path, monkeypatch):
    monkeypatch.setattr(module_under_test, "EVERY_SECONDS", 0.0)
    with pytest.raises(Stopped):
        train_features(source, [OWN], folder=tmp_path, tell=stop_after(400))
    kept = (tmp_path / module_under_test.STATE).read_bytes()
    read = TextActivations.read
    monkeypatch.setattr(
        TextActivations,
        "read",
        lambda *given: {name: each * float("nan") for name, each in read(*given).items()},
    )

    with pytest.raises(DataError, match=r"learning rate.*kept in"):
        train_features(source, [OWN], folder=tmp_path)

    assert (tmp_path / module_under_test.STATE).read_bytes() == kept


def test_the_state_of_another_training_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(module_under_test, "EVERY_SECONDS", 0.0)
    with pytest.raises(Stopped):
        train_features(source, [OWN], folder=tmp_path, tell=stop_after(2000))
    other = replace(OWN, settings=replace(SETTINGS, seed=1))

    with pytest.raises(DataError, match="another training"):
        train_features(source, [other], folder=tmp_path)

    (tmp_path / module_under_test.STATE).write_bytes(b"damaged")
    with pytest.raises(DataError, match="delete it"):
        train_features(source, [OWN], folder=tmp_path)


def test_a_site_that_is_not_there_is_refused(source):
    lost = replace(OWN, reading=Reading(site="17.out"))

    with pytest.raises(ConfigError, match=r"17\.out"):
        train_features(source, [lost])
    with pytest.raises(ConfigError, match="name of its own"):
        train_features(source, [OWN, OWN])
    with pytest.raises(ConfigError, match="before training"):
        train_features(source, [replace(OWN, reading=Reading(task="difference", site="1.out"))])


def test_the_model_is_left_as_it_was(part, source):
    def hooks():
        return [
            len(one)
            for each in part.module.modules()
            for one in (each._forward_hooks, each._forward_pre_hooks)
        ]

    before, hooked = (
        {name: value.clone() for name, value in part.module.state_dict().items()},
        hooks(),
    )

    train_features(source, [OWN])

    assert all(torch.equal(before[name], value) for name, value in part.module.state_dict().items())
    assert hooks() == hooked


def test_a_reading_holds_every_token_but_the_first_of_each_text_once(source):
    plan = source.plan()
    seen: list[int] = []
    values: list[torch.Tensor] = []
    while len(seen) < len(source.rows) - 4:
        chosen = next(plan)
        seen += chosen
        values.append(source.read(len(values), chosen, ["1.out"])["1.out"])

    assert len(set(seen)) == len(seen)
    found = torch.cat(values)
    own = capture(
        source.model.module, source.model.sites, [source.rows[at] for at in seen], ["1.out"]
    )
    expected = torch.cat([each[1:] for each in own.values["1.out"]])
    assert len(found) == len(expected)
    order = [np.lexsort(each.numpy().T) for each in (found, expected)]
    assert torch.allclose(found[order[0].copy()], expected[order[1].copy()], atol=1e-5)
    assert not torch.equal(found, expected)  # mixed


def test_two_sites_are_read_in_the_same_order(source):
    chosen = next(source.plan())
    both = source.read(0, chosen, ["0.out", "1.in"])

    assert torch.equal(both["0.out"], both["1.in"])


def test_batches_are_all_of_nearly_one_size():
    sizes = [len(each["a"]) for each in batches({"a": torch.zeros(1034, 2)}, 100)]

    assert sum(sizes) == 1034
    assert max(sizes) - min(sizes) <= 1


def test_texts_too_short_are_refused(part):
    with pytest.raises(DataError, match="longer"):
        TextActivations(model=part, rows=[[5], [7]])
    with pytest.raises(DataError, match="at least 2"):
        held_out([[1, 2]], 0.5, seed=0)


def test_texts_kept_back_are_none_of_those_to_train_on():
    rows = [[at] for at in range(50)]
    train, kept = held_out(rows, 0.2, seed=3)

    assert len(kept) == 10
    assert sorted(list(each) for each in [*train, *kept]) == rows


def test_a_saved_dictionary_says_what_it_was_trained_on(source, tmp_path):
    trained = train_features(source, [OWN], model="tiny/model").dictionaries["own"]
    save_dictionary(trained, tmp_path)

    assert trained.origin.identity == "tiny"
    assert trained.origin.training["tokens"] == 2400
