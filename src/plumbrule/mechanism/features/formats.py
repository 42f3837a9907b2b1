"""Dictionaries on disk: SAELens's layout, written and read; Gemma Scope's and sparsify's, read.

Whatever a layout asks of its readers (a bias taken off first, norms that activations are weighed
by) is folded into the weights, so that every dictionary here takes raw activations in one way.
Weights come from safetensors, or from npz files without pickle; nothing in a file is run.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from plumbrule.errors import DataError
from plumbrule.mechanism.features.dictionaries import Dictionary, Origin, Reading
from plumbrule.mechanism.features.settings import KINDS
from plumbrule.store import canonical, storage_errors, write_atomic

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"

_ARCHITECTURES = {"relu": "standard", "topk": "topk"}
"""SAELens's names; all others here have a threshold each, and are `jumprelu` to it."""

_PLACES = (
    (r"blocks\.(\d+)\.hook_resid_pre", "in"),
    (r"blocks\.(\d+)\.hook_resid_post", "out"),
    (r"blocks\.(\d+)\.hook_mlp_out", "mlp"),
    (r"blocks\.(\d+)\.hook_attn_out", "attn"),
    (r"blocks\.(\d+)\.attn\.hook_z", "heads"),
    (r"(?:model\.)?(?:layers|h)\.(\d+)(?:\.output)?", "out"),
    (r"(?:model\.)?(?:layers|h)\.(\d+)\.mlp", "mlp"),
    (r"(?:model\.)?(?:layers|h)\.(\d+)\.post_feedforward_layernorm(?:\.output)?", "mlp"),
    (r"(?:model\.)?(?:layers|h)\.(\d+)\.(?:self_attn|attention|attn)", "attn"),
    (r"(?:model\.)?(?:layers|h)\.(\d+)\.post_attention_layernorm(?:\.output)?", "attn"),
    (r"(?:model\.)?(?:layers|h)\.(\d+)\.self_attn\.o_proj\.input", "heads"),
    (r".*(?:gemma-scope[^/]*-mlp|mlp_out[^/]*)/layer_(\d+)(?!.*transcoder).*", "mlp"),
    (r".*(?:gemma-scope[^/]*-att|attn_out[^/]*)/layer_(\d+).*", "heads"),
    (r"(?:.*[/_])?resid_post.*layer_(\d+).*", "out"),
    (r"(?!.*(?:transcoder|clt))(?:.*/)?layer_(\d+)(?:[/_].*)?", "out"),
)
"""What others call a site, in full, and what it is called here."""


def save_dictionary(dictionary: Dictionary, folder: Path) -> None:
    """Write a dictionary in SAELens's layout, with where it belongs beside it.

    SAELens opens autoencoders of every kind, and transcoders with thresholds or without; a `topk`
    transcoder and what reads two models are read here alone.

    Args:
        dictionary: What to write.
        folder: Gets `cfg.json` and `sae_weights.safetensors`.

    Raises:
        StorageError: The disk does not take it.
    """
    from safetensors.torch import save

    reading = dictionary.origin.reading
    architecture = _ARCHITECTURES.get(dictionary.kind, "jumprelu")
    if reading.task == "transcoder":
        architecture = "transcoder" if architecture == "standard" else f"{architecture}_transcoder"
        if dictionary.skip is not None:
            architecture = architecture.replace("transcoder", "skip_transcoder")
    weights = {
        "W_enc": dictionary.encoder.mT,
        "b_enc": dictionary.encoder_bias,
        "W_dec": dictionary.decoder,
        "b_dec": dictionary.decoder_bias,
    }
    if dictionary.threshold is not None:
        weights["threshold"] = dictionary.threshold
    if dictionary.skip is not None:
        weights["W_skip"] = dictionary.skip.mT
    config = {
        "architecture": architecture,
        "d_in": dictionary.encoder.shape[1],
        "d_sae": dictionary.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "model_name": dictionary.origin.model,
            "hook_name": _hook_name(reading.site),
            "plumbrule": {"kind": dictionary.kind, "origin": asdict(dictionary.origin)},
        },
    }
    if reading.task == "transcoder":
        config["d_out"] = dictionary.decoder.shape[1]
    if dictionary.active is not None:
        config |= {"k": dictionary.active, "rescale_acts_by_decoder_norm": False}
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    held = {name: value.float().cpu().contiguous() for name, value in weights.items()}
    write_atomic(folder / WEIGHTS, save(held))
    write_atomic(folder / CONFIG, canonical(config) + "\n")


def read_dictionary(folder: Path, *, reading: Reading | None = None) -> Dictionary:
    """Read a dictionary in whatever layout it has.

    Args:
        folder: Of SAELens (`cfg.json`, `sae_weights.safetensors`), sparsify (`cfg.json`,
            `sae.safetensors`), Gemma Scope 1 (`params.npz`) or 2 (`params.safetensors`).
        reading: Where it belongs; None takes what the files or the folder's name say.

    Raises:
        DataError: There is none, it is damaged, of a kind that is not supported, or does not say
            where it belongs.
    """
    for name, read in (
        (WEIGHTS, _sae_lens),
        ("sae.safetensors", _sparsify),
        ("params.npz", _gemma_scope_1),
        ("params.safetensors", _gemma_scope_2),
    ):
        if (folder / name).is_file():
            return read(folder, name, reading)
    raise DataError(
        f"expected a folder with sae_weights.safetensors, sae.safetensors, params.npz or "
        f"params.safetensors, {folder} has none of them; give the folder that holds the weights"
    )


def _sae_lens(folder: Path, name: str, reading: Reading | None) -> Dictionary:
    config, weights = _json(folder / CONFIG), _tensors(folder / name)
    about = _mapping(config.get("metadata"))
    own = _mapping(about.get("plumbrule"))
    architecture = str(config.get("architecture", "standard"))
    normalized = config.get("normalize_activations") or "none"
    if normalized != "none" or config.get("reshape_activations", "none") not in ("none", "hook_z"):
        raise DataError(
            f"{folder / CONFIG} asks for activations to be normalized ({normalized}) before they "
            "are read, which is not supported; fold it into the weights with SAELens first"
        )
    if "scaling_factor" in weights or "r_mag" in weights or "gated" in architecture:
        raise DataError(
            f"expected a standard, topk, batchtopk or jumprelu dictionary, {folder} holds another "
            f"({architecture}, with {', '.join(sorted(weights))})"
        )
    count = config.get("k") or _mapping(config.get("activation_fn_kwargs")).get("k")
    kind = "relu"
    if own.get("kind") in KINDS:
        kind = own["kind"]
    elif "threshold" in weights:
        kind = "jumprelu"
    elif "topk" in architecture or count:
        kind = "topk"
    encoder, decoder = _one(weights, "W_enc").mT, _one(weights, "W_dec")
    bias = _one(weights, "b_enc", like=len(encoder))
    written = _one(weights, "b_dec", like=decoder.shape[1])
    if config.get("rescale_acts_by_decoder_norm"):
        lengths = decoder.norm(dim=1)
        encoder, bias, decoder = (
            encoder * lengths[:, None],
            bias * lengths,
            decoder / lengths[:, None],
        )
    # Older files do not say, and were made when it was always done.
    if config.get("apply_b_dec_to_input", "transcoder" not in architecture):
        _one(weights, "b_dec", like=encoder.shape[1])
        bias = bias - encoder @ written
    origin = _own_origin(own.get("origin"), folder, reading)
    if origin is None:
        hook = about.get("hook_name") or config.get("hook_name")
        into = about.get("hook_name_out") or config.get("hook_name_out")
        model = str(about.get("model_name") or config.get("model_name") or "")
        origin = Origin(reading=reading or _reading(folder, hook, into), model=model)
    skip = weights.get("W_skip")
    return Dictionary(
        kind=kind,  # type: ignore[arg-type]
        encoder=encoder,
        encoder_bias=bias,
        decoder=decoder,
        decoder_bias=written,
        threshold=weights.get("threshold"),
        active=int(count) if kind == "topk" and count else None,
        skip=None if skip is None else skip.mT,
        origin=origin,
    )


def _sparsify(folder: Path, name: str, reading: Reading | None) -> Dictionary:
    config, weights = _json(folder / CONFIG), _tensors(folder / name)
    activation = config.get("activation", "topk")
    if activation != "topk":
        raise DataError(f"expected a topk dictionary, {folder} has the activation {activation!r}")
    encoder, decoder = _one(weights, "encoder.weight"), _one(weights, "W_dec")
    bias = _one(weights, "encoder.bias", like=len(encoder))
    written, skip = _one(weights, "b_dec", like=decoder.shape[1]), weights.get("W_skip")
    if not config.get("transcode"):
        _one(weights, "b_dec", like=encoder.shape[1])
        bias = bias - encoder @ written
    if reading is None:
        if config.get("transcode"):
            raise DataError(
                f"{folder} holds a transcoder and does not say where it reads and writes; name "
                "both sites"
            )
        reading = _reading(folder, folder.name, None)
    return Dictionary(
        kind="topk",
        encoder=encoder,
        encoder_bias=bias,
        decoder=decoder,
        decoder_bias=written,
        active=int(config.get("k", 0)) or None,
        skip=None if skip is None else skip.mT,
        origin=Origin(reading=reading),
    )


def _gemma_scope_1(folder: Path, name: str, reading: Reading | None) -> Dictionary:
    import torch

    try:
        with np.load(folder / name, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise DataError(f"{folder / name} is no npz file of numbers: {error}") from error
    if not np.all(arrays.pop("scaling_factor", np.ones(1)) == 1):
        raise DataError(
            f"{folder / name} has a scaling_factor other than 1, which is not supported; fold it "
            "into the decoder first"
        )
    weights = {
        key: torch.from_numpy(np.asarray(value, np.float32)) for key, value in arrays.items()
    }
    embedding = "embedding" in folder.as_posix().rpartition("gemma-scope")[2]
    reading = reading or (Reading(site="embed") if embedding else _reading(folder, None, None))
    encoder, decoder = _one(weights, "W_enc").mT, _one(weights, "W_dec")
    if reading.site == "embed":
        # Trained on embeddings without the factor by which the model multiplies them.
        root = encoder.shape[1] ** 0.5
        encoder, decoder = encoder / root, decoder * root
    return Dictionary(
        kind="jumprelu",
        encoder=encoder,
        encoder_bias=_one(weights, "b_enc", like=len(encoder)),
        decoder=decoder,
        decoder_bias=_one(weights, "b_dec", like=decoder.shape[1]),
        threshold=_one(weights, "threshold", like=len(encoder)),
        origin=Origin(reading=reading),
    )


def _gemma_scope_2(folder: Path, name: str, reading: Reading | None) -> Dictionary:
    config, weights = _json(folder / "config.json"), _tensors(folder / name)
    architecture = config.get("architecture")
    if architecture != "jump_relu":
        raise DataError(
            f"expected the architecture jump_relu, {folder / 'config.json'} says {architecture!r}"
        )
    if reading is None:
        into = config.get("hf_hook_point_out")
        hook = config.get("hf_hook_point_in")
        reading = _reading(folder, hook, into if into != hook else None)
    encoder, decoder = _one(weights, "w_enc").mT, _one(weights, "w_dec")
    return Dictionary(
        kind="jumprelu",
        encoder=encoder,
        encoder_bias=_one(weights, "b_enc", like=len(encoder)),
        decoder=decoder,
        decoder_bias=_one(weights, "b_dec", like=decoder.shape[1]),
        threshold=_one(weights, "threshold", like=len(encoder)),
        skip=weights.get("affine_skip_connection"),
        origin=Origin(reading=reading, model=str(config.get("model_name") or "")),
    )


def _reading(folder: Path, hook: Any, into: Any) -> Reading:
    """Where a dictionary belongs, from how its file or folder calls the place.

    Raises:
        DataError: Neither says so in a way that is understood.
    """
    said = [str(each) for each in (hook, folder.as_posix()) if each]
    site = next((found for each in said if (found := site_of(each))), None)
    out = site_of(str(into)) if into else None
    if site is None or (into and out is None):
        raise DataError(
            f"{folder} does not say in a way that is understood where the dictionary reads and "
            f"writes ({', '.join(said)}); name the site, such as 12.out"
        )
    return Reading(site=site, into=out, task="transcoder" if out else "autoencoder")


def site_of(place: str) -> str | None:
    """A site for a place as others call it; None where it is not understood.

    Example:
        >>> site_of("blocks.12.hook_resid_post"), site_of("layers.3.mlp"), site_of("there")
        ('12.out', '3.mlp', None)
    """
    for pattern, kind in _PLACES:
        found = re.fullmatch(pattern, place)
        if found:
            return f"{int(found[1])}.{kind}"
    return None


def _hook_name(site: str) -> str:
    layer, _, kind = site.partition(".")
    names = {"in": "hook_resid_pre", "out": "hook_resid_post", "mlp": "hook_mlp_out"}
    names |= {"attn": "hook_attn_out", "heads": "attn.hook_z"}
    return f"blocks.{layer}.{names[kind]}" if kind in names else site


def _own_origin(said: Any, folder: Path, reading: Reading | None) -> Origin | None:
    """What was written beside a dictionary by `save_dictionary`."""
    if not isinstance(said, Mapping):
        return None
    try:
        own = Reading(**said["reading"])
        rest = {name: said[name] for name in ("model", "identity", "base", "family", "training")}
        return Origin(
            reading=reading or own,
            skipped=int(said["skipped"]),
            largest=said.get("largest"),
            **rest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / CONFIG} does not say where the dictionary belongs, as it once did: {error}"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"expected {path} to be JSON, it cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"expected {path} to hold settings by name, got {type(found).__name__}")
    return found


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: value.float() for name, value in load_file(path).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} is no safetensors file: {error}") from error


def _one(weights: Mapping[str, Any], name: str, *, like: Any = None) -> Any:
    """Weights by name; a bias has to be as long as the rows or columns that it is added to."""
    if name not in weights:
        raise DataError(
            f"expected the weights {name}, got {', '.join(sorted(weights)) or 'none'}; the file is "
            "of another layout"
        )
    found = weights[name]
    if like is None and found.ndim != 2:
        raise DataError(f"expected {name} to be a matrix, got the shape {tuple(found.shape)}")
    if like is not None and tuple(found.shape) != (int(like),):
        raise DataError(
            f"expected {name} of shape ({int(like)},), got {tuple(found.shape)}; the file is "
            "damaged or of another layout"
        )
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
