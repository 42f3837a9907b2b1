"""Each layout against what its own makers do with it, written out by hand."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.features import (
    Dictionary,
    ModelPart,
    Origin,
    Reading,
    check_fits,
    read_dictionary,
    save_dictionary,
)

WIDTH, LATENTS = 8, 24
SITE = Reading(site="1.out")


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


INPUTS = draw(40, WIDTH, seed=9) * 3


def made(kind="jumprelu", width=WIDTH, out=None, **given):
    return Dictionary(
        kind=kind,
        encoder=draw(LATENTS, width),
        encoder_bias=draw(LATENTS, seed=1),
        decoder=draw(LATENTS, out or width, seed=2),
        decoder_bias=draw(out or width, seed=3),
        **{
            "threshold": draw(LATENTS, seed=4).abs() if kind == "jumprelu" else None,
            "active": 3 if kind == "topk" else None,
            "origin": Origin(reading=SITE, identity="hash", model="a/model"),
            **given,
        },
    )


@pytest.mark.parametrize("kind", ["relu", "topk", "jumprelu"])
@pytest.mark.parametrize("across", [False, True])
def test_what_is_written_is_read_back(kind, across, tmp_path):
    reading = Reading(task="transcoder", site="0.out", into="1.mlp") if across else SITE
    skip = draw(WIDTH, 5, seed=6) if across else None
    one = made(
        kind, out=5 if across else None, skip=skip, origin=Origin(reading=reading, identity="hash")
    )
    save_dictionary(one, tmp_path)

    other = read_dictionary(tmp_path)

    assert (other.kind, other.origin, other.active) == (kind, one.origin, one.active)
    for name in ("encoder", "encoder_bias", "decoder", "decoder_bias", "threshold", "skip"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None and second is None) or torch.equal(first, second)


def sae_lens(folder, weights, **config):
    save_file(
        {name: value.contiguous() for name, value in weights.items()},
        folder / "sae_weights.safetensors",
    )
    base = {"d_in": WIDTH, "d_sae": LATENTS, "metadata": {"hook_name": "blocks.1.hook_resid_post"}}
    (folder / "cfg.json").write_text(json.dumps({**base, **config}))
    return folder


def lens_weights(**more):
    return {
        "W_enc": draw(WIDTH, LATENTS),
        "b_enc": draw(LATENTS, seed=1),
        "W_dec": draw(LATENTS, WIDTH, seed=2),
        "b_dec": draw(WIDTH, seed=3),
        **more,
    }


def test_a_standard_one_takes_its_bias_off_first(tmp_path):
    w = lens_weights()
    found = read_dictionary(
        sae_lens(tmp_path, w, architecture="standard", apply_b_dec_to_input=True)
    )

    codes = ((INPUTS - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    assert found.origin.reading == SITE
    assert torch.allclose(found.encode(INPUTS), codes, atol=1e-4)
    assert torch.allclose(found.reconstruct(INPUTS), codes @ w["W_dec"] + w["b_dec"], atol=1e-3)


def test_a_topk_one_weighs_by_the_decoder_s_norms(tmp_path):
    w = lens_weights()
    folder = sae_lens(
        tmp_path, w, architecture="topk", k=3, rescale_acts_by_decoder_norm=True,
        apply_b_dec_to_input=True,
    )  # fmt: skip

    lengths = w["W_dec"].norm(dim=1)
    before = ((INPUTS - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * lengths
    values, places = before.relu().topk(3, dim=1)
    codes = torch.zeros_like(before).scatter(1, places, values)
    expected = (codes / lengths) @ w["W_dec"] + w["b_dec"]
    assert torch.allclose(read_dictionary(folder).reconstruct(INPUTS), expected, atol=1e-3)


def test_a_jumprelu_one_is_silent_below_its_threshold(tmp_path):
    w = lens_weights(threshold=draw(LATENTS, seed=4).abs())
    folder = sae_lens(tmp_path, w, architecture="jumprelu", apply_b_dec_to_input=False)

    before = INPUTS @ w["W_enc"] + w["b_enc"]
    codes = before * (before > w["threshold"])
    assert torch.allclose(read_dictionary(folder).encode(INPUTS), codes, atol=1e-4)


def test_gemma_scope_s_first_layout_is_read_without_pickle(tmp_path):
    folder = tmp_path / "gemma-scope-2b-pt-res" / "layer_1" / "width_16k" / "average_l0_7"
    folder.mkdir(parents=True)
    w = {name: value.numpy() for name, value in lens_weights(threshold=draw(LATENTS).abs()).items()}
    np.savez(folder / "params.npz", **w)

    found = read_dictionary(folder)

    before = INPUTS @ torch.from_numpy(w["W_enc"]) + torch.from_numpy(w["b_enc"])
    assert found.origin.reading == SITE
    assert torch.allclose(
        found.encode(INPUTS), before * (before > torch.from_numpy(w["threshold"])), atol=1e-4
    )


class Boom:
    def __reduce__(self):
        return (pytest.fail, ("a file of weights was run",))


def test_nothing_in_a_file_is_run(tmp_path):
    np.savez(tmp_path / "params.npz", W_enc=np.array([Boom()], dtype=object))
    with pytest.raises(DataError, match="npz"):
        read_dictionary(tmp_path, reading=SITE)
    (tmp_path / "params.npz").write_bytes(pickle.dumps(Boom()))
    with pytest.raises(DataError, match="npz"):
        read_dictionary(tmp_path, reading=SITE)


def test_gemma_scope_s_second_layout_is_read_with_its_skip(tmp_path):
    w = {name.lower(): value for name, value in lens_weights(threshold=draw(LATENTS).abs()).items()}
    w["affine_skip_connection"] = draw(WIDTH, WIDTH, seed=7)
    save_file(w, tmp_path / "params.safetensors")
    config = {
        "architecture": "jump_relu",
        "model_name": "gemma-v3-270m-pt",
        "hf_hook_point_in": "model.layers.5.output",
        "hf_hook_point_out": "model.layers.6.post_feedforward_layernorm.output",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))

    found = read_dictionary(tmp_path)

    before = INPUTS @ w["w_enc"] + w["b_enc"]
    codes = before * (before > w["threshold"])
    assert found.origin.reading == Reading(task="transcoder", site="5.out", into="6.mlp")
    expected = codes @ w["w_dec"] + w["b_dec"] + INPUTS @ w["affine_skip_connection"]
    assert torch.allclose(found.reconstruct(INPUTS), expected, atol=1e-3)


@pytest.mark.parametrize("transcode", [False, True])
def test_sparsify_s_layout_is_read(transcode, tmp_path):
    folder = tmp_path / "layers.1"
    folder.mkdir()
    w = {
        "encoder.weight": draw(LATENTS, WIDTH),
        "encoder.bias": draw(LATENTS, seed=1),
        "W_dec": draw(LATENTS, WIDTH, seed=2),
        "b_dec": draw(WIDTH, seed=3),
    }
    if transcode:
        w["W_skip"] = draw(WIDTH, WIDTH, seed=5)
    save_file(w, folder / "sae.safetensors")
    config = {"activation": "topk", "k": 3, "d_in": WIDTH, "transcode": transcode}
    (folder / "cfg.json").write_text(json.dumps(config))
    reading = Reading(task="transcoder", site="1.in", into="1.mlp") if transcode else None

    found = read_dictionary(folder, reading=reading)

    inputs = INPUTS if transcode else INPUTS - w["b_dec"]
    before = (inputs @ w["encoder.weight"].mT + w["encoder.bias"]).relu()
    values, places = before.topk(3, dim=1)
    written = torch.zeros_like(before).scatter(1, places, values) @ w["W_dec"] + w["b_dec"]
    if transcode:
        written = written + INPUTS @ w["W_skip"].mT
    assert found.origin.reading == (reading or SITE)
    assert torch.allclose(found.reconstruct(INPUTS), written, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w, c: w.pop("W_enc"), "W_enc"),
        (lambda w, c: w.update(W_enc=w["W_enc"] * float("nan")), "NaN"),
        (lambda w, c: w.update(b_enc=w["b_enc"][:-1].clone()), "shape"),
        (lambda w, c: w.update(r_mag=w["b_enc"].clone()), "standard, topk"),
        (lambda w, c: c.update(normalize_activations="layer_norm"), "normalized"),
        (lambda w, c: c.update(metadata={"hook_name": "somewhere"}), "name the site"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(change, said, tmp_path):
    weights, config = lens_weights(), {"architecture": "standard"}
    change(weights, config)
    folder = tmp_path / "any"
    folder.mkdir()
    sae_lens(folder, weights, **config)

    with pytest.raises(DataError, match=said):
        read_dictionary(folder)


def test_a_folder_without_a_dictionary_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"params\.npz"):
        read_dictionary(tmp_path)
    (tmp_path / "sae_weights.safetensors").write_bytes(b"no")
    (tmp_path / "cfg.json").write_text("[1]")
    with pytest.raises(DataError, match="by name"):
        read_dictionary(tmp_path)


def test_a_dictionary_of_another_model_layer_or_width_is_refused(part):
    def dictionary(**given):
        width = given.pop("width", 64)
        return made(width=width, origin=Origin(**{"reading": SITE, **given}))

    check_fits(dictionary(identity="tiny"), part)
    check_fits(dictionary(model="google/gemma-3-270m"), part, spec="unsloth/gemma-3-270m")
    with pytest.raises(DataError, match="other weights"):
        check_fits(dictionary(identity="others"), part)
    with pytest.raises(DataError, match="belongs to google/gemma-2-2b"):
        check_fits(dictionary(model="google/gemma-2-2b"), part, spec="unsloth/gemma-3-270m")
    with pytest.raises(DataError, match="reads 12"):
        check_fits(dictionary(width=12), part)
    with pytest.raises(ConfigError, match=r"31\.out"):
        check_fits(dictionary(reading=Reading(site="31.out")), part)
    with pytest.raises(DataError, match="--against"):
        check_fits(dictionary(reading=Reading(task="difference", site="1.out")), part)
    pair = Reading(task="crosscoder", site="1.out")
    check_fits(dictionary(width=128, reading=pair, base="first"), part, base=ModelPart(
        module=part.module, sites=part.sites, identity="first"
    ))  # fmt: skip


def test_the_files_are_those_that_sae_lens_reads(tmp_path):
    save_dictionary(made(), tmp_path)

    weights = load_file(tmp_path / "sae_weights.safetensors")
    config = json.loads((tmp_path / "cfg.json").read_text())
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    assert shapes == {
        "W_enc": (WIDTH, LATENTS), "b_enc": (LATENTS,), "threshold": (LATENTS,),
        "W_dec": (LATENTS, WIDTH), "b_dec": (WIDTH,),
    }  # fmt: skip
    assert config["architecture"] == "jumprelu"
    assert config["metadata"]["hook_name"] == "blocks.1.hook_resid_post"
    assert (config["d_in"], config["d_sae"]) == (WIDTH, LATENTS)
