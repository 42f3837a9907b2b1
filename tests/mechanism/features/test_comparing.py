"""A crosscoder of two models whose features are known: shared ones, and one of each model alone."""

from types import SimpleNamespace

import pytest
import torch

from plumbrule.errors import ConfigError
from plumbrule.mechanism.features import (
    Dictionary,
    DictionarySettings,
    Origin,
    Reading,
    scale_latents,
)
from plumbrule.mechanism.features.dictionaries import BASE
from plumbrule.mechanism.features.learning import Learner

WIDTH, SHARED = 12, 10
READING = Reading(task="crosscoder", site="0.out")


def drawn(seed, tokens=6000, alone=True):
    """Activations of both models: shared features 0 to 9, 10 the tuned one's, 11 the base's."""
    generator = torch.Generator().manual_seed(7)
    base, moved = torch.randn(2, SHARED + 2, WIDTH, generator=generator)
    # Training moves directions a little: the cosine is about 0.98.
    base, tuned = (torch.nn.functional.normalize(each) for each in (base, base + 0.2 * moved))
    generator.manual_seed(seed)
    on = (torch.rand(tokens, SHARED + 2, generator=generator) < 0.1).float()
    strength = on * (1 + 0.2 * torch.randn(on.shape, generator=generator))
    if alone:
        base[10], tuned[11] = 0.0, 0.0
    return {BASE + "0.out": strength @ base, "0.out": strength @ tuned}, (base, tuned)


def source(values):
    return SimpleNamespace(rows=[[0, 0]] * 16, skipped=1, read=lambda *given: values)


def truly(base, tuned, **given):
    """A dictionary of the true directions, which reads them by their pseudo-inverse."""
    decoder = torch.cat([base, tuned], dim=1)
    encoder = torch.linalg.pinv(decoder).mT
    return Dictionary(
        kind="jumprelu",
        encoder=encoder,
        encoder_bias=torch.zeros(len(decoder)),
        decoder=decoder,
        decoder_bias=torch.zeros(2 * WIDTH),
        threshold=torch.full((len(decoder),), 0.2),
        origin=Origin(reading=READING),
        **given,
    )


def test_latents_of_one_model_alone_are_told_from_shared_ones():
    values, (base, tuned) = drawn(0)
    found = scale_latents(truly(base, tuned), source(values))

    specific = {each.latent: each.of for each in found if each.specific}
    assert specific == {10: "tuned", 11: "base"}
    assert all(each.nu_error > 0.5 for each in found if each.latent not in specific)


def test_a_short_vector_is_not_taken_for_absence():
    """The base has the feature; the crosscoder leaves it to the error there (shrinkage)."""
    values, (base, tuned) = drawn(0, alone=False)
    shrunk = base.clone()
    shrunk[10] = 0.0
    found = scale_latents(truly(shrunk, tuned), source(values))

    one = next(each for each in found if each.latent == 10)
    assert one.other_norm == 0.0
    assert one.nu_error > 0.2
    assert not one.specific


def test_fits_are_least_squares():
    values, (base, tuned) = drawn(3, tokens=300)
    dictionary = truly(base + 0.1, tuned)
    inputs = READING.inputs(values)
    codes = dictionary.encode(inputs)
    found = {each.latent: each for each in scale_latents(dictionary, source(values))}

    for latent, each in found.items():
        direction = dictionary.decoder[latent].split(WIDTH)[each.of == "tuned"]
        design = (codes[:, latent, None] * direction).reshape(-1, 1)
        fits = []
        for model in (each.of != "tuned", each.of == "tuned"):  # the other one, its own
            part = slice(int(model) * WIDTH, int(model) * WIDTH + WIDTH)
            written = (codes @ dictionary.decoder)[:, part]
            own = codes[:, latent, None] * dictionary.decoder[latent, part]
            missing = inputs[:, part] - written + own
            fits.append(
                [
                    float(torch.linalg.lstsq(design, target.reshape(-1, 1)).solution)
                    for target in (written, missing)
                ]
            )
        other, own = fits
        assert each.nu_reconstruction == pytest.approx(other[0] / own[0], abs=1e-3)
        assert each.nu_error == pytest.approx(other[1] / own[1], abs=1e-3)


@pytest.mark.parametrize("alone", [True, False])
def test_a_trained_crosscoder_finds_them_and_finds_none_where_there_are_none(alone):
    values = drawn(1, tokens=20_000, alone=alone)[0]
    inputs = READING.inputs(values)
    settings = DictionarySettings(
        latents=16, active=1, tokens=60_000, batch=200, learning_rate=1e-2
    )
    learner = Learner(settings, inputs, inputs)
    for number in range(settings.steps):
        part = inputs[(number * 200) % 19_800 :][:200]
        learner.step(part, part)

    held = drawn(2, alone=alone)[0]
    found = scale_latents(learner.dictionary(Origin(reading=READING)), source(held))

    assert {each.of for each in found if each.specific} == ({"tuned", "base"} if alone else set())


def test_only_a_crosscoder_has_a_vector_in_each_model():
    values, (base, tuned) = drawn(0)
    one = truly(base, tuned)
    other = Dictionary(**{**vars(one), "origin": Origin(reading=Reading(site="0.out"))})
    with pytest.raises(ConfigError, match="crosscoder"):
        scale_latents(other, source(values))
