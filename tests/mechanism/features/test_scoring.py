import numpy as np
import pytest
import torch

from plumbrule.errors import DataError
from plumbrule.mechanism.features import (
    Dictionary,
    Origin,
    Reading,
    TextActivations,
    recovery,
    score_dictionary,
)


def exact(reading=None, scale=1.0, width=64):
    """Writes what it reads: each direction and its opposite have a latent."""
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    return Dictionary(
        kind="relu",
        encoder=both,
        encoder_bias=torch.zeros(2 * width),
        decoder=both * scale,
        decoder_bias=torch.zeros(width),
        origin=Origin(reading=reading or Reading(site="1.out")),
    )


def test_a_dictionary_that_writes_what_it_reads_loses_nothing(source):
    found = score_dictionary(exact(), source)

    assert found.variance_explained == pytest.approx(1.0, abs=1e-6)
    assert found.active == pytest.approx(64.0, abs=0.01)
    assert found.loss_recovered == pytest.approx(1.0, abs=1e-5)
    assert found.dead == 0.0
    assert found.tokens == source.tokens


def test_a_dictionary_that_writes_nothing_is_as_good_as_zeros(source):
    found = score_dictionary(exact(scale=0.0), source)

    assert found.loss_spliced == found.loss_without
    assert found.loss_recovered == 0.0
    assert found.variance_explained < 0.1  # the mean alone does better, or as well


def test_the_loss_is_the_model_s_own(source):
    found = score_dictionary(exact(), source)
    sums = count = 0.0
    for row in source.rows:
        ids = torch.tensor([row])
        with torch.no_grad():
            logits = source.model.module(input_ids=ids, use_cache=False)["logits"][0, :-1]
        sums += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += len(row) - 1

    assert found.loss == pytest.approx(sums / count, rel=1e-5)


def test_half_of_each_activation_explains_three_quarters_around_zero(source):
    half = exact(scale=0.5)
    values = torch.cat(source.read_rows(range(len(source.rows)), ["1.out"])["1.out"]).double()
    around = (values - values.mean(0)).square().sum()

    found = score_dictionary(half, source)

    assert found.variance_explained == pytest.approx(
        float(1 - 0.25 * values.square().sum() / around), abs=1e-5
    )


def test_a_transcoder_stands_in_for_what_it_writes(source, part):
    same = Reading(task="transcoder", site="1.out", into="2.in")
    assert score_dictionary(exact(same), source).loss_recovered == pytest.approx(1.0, abs=1e-5)

    other = Reading(task="transcoder", site="0.out", into="2.mlp")
    recovered = score_dictionary(exact(other), source).loss_recovered
    assert recovered is not None
    assert recovered < 1.0
    assert not any("read" in str(each) for each in part.module._forward_hooks)


def test_what_reads_two_models_has_no_loss(source, part):
    pair = TextActivations(model=part, base=part, rows=source.rows)
    found = score_dictionary(exact(Reading(task="crosscoder", site="1.out"), width=128), pair)

    assert found.loss is None
    assert found.loss_recovered is None
    assert "two models" in found.reason


def test_activations_that_are_all_alike_have_no_variance(source, part):
    pair = TextActivations(model=part, base=part, rows=source.rows)
    with pytest.raises(DataError, match="vary"):
        score_dictionary(exact(Reading(task="difference", site="1.out")), pair)


def test_known_features_are_matched_one_to_one():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 20))
    twice = np.concatenate([features[:5] * 3.0, features[:1], rng.normal(size=(4, 20)) * 0.0])

    found = recovery(twice, features)

    assert found.found == pytest.approx(5 / 6)
    assert found.mean_max_cosine >= found.mean_matched_cosine
    with pytest.raises(DataError, match="as many"):
        recovery(features[:3], features)
