"""What a model is, as one hash: weights, configuration, tokenizer, template."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plumbrule.store import file_sha256, fingerprint

_VOLATILE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"}


def folder_identity(
    folders: list[Path], module: Any, tokenizer: Any, arguments: Mapping[str, Any]
) -> str:
    """Hash of a model on disk: the bytes of its weights, and all else that decides a reply.

    Args:
        folders: The model's folder, and its adapter's after it where there is one.
        module: What was loaded from them.
        tokenizer: The same.
        arguments: What the chat template is given besides the messages.
    """
    return fingerprint(identity_parts(folders, module, tokenizer, arguments))


def identity_parts(
    folders: list[Path], module: Any, tokenizer: Any, arguments: Mapping[str, Any]
) -> list[Any]:
    """What a model's identity is the hash of, so that others can make it again without the model.

    Args:
        folders: As for `folder_identity`.
        module: The same.
        tokenizer: The same.
        arguments: The same.

    Returns:
        SHA-256 of the weights by file and of the adapters' settings, a folder each, and the rest.
    """
    weights = [
        {path.name: file_sha256(path) for path in sorted(folder.glob("*.safetensors"))}
        for folder in folders
    ]
    adapters = [
        file_sha256(path) for folder in folders if (path := folder / "adapter_config.json").exists()
    ]
    return [weights, adapters, _rest(module, tokenizer, arguments)]


def memory_identity(module: Any, tokenizer: Any, arguments: Mapping[str, Any]) -> str:
    """Hash of a model in memory: its parameters and buffers, and all else that decides a reply."""
    import torch

    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().to("cpu").contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data)
    return fingerprint([total.hexdigest(), _rest(module, tokenizer, arguments)])


def _rest(module: Any, tokenizer: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    config = {
        name: value for name, value in module.config.to_dict().items() if name not in _VOLATILE
    }
    ends = getattr(getattr(module, "generation_config", None), "eos_token_id", None)
    return {
        "config": fingerprint(_plain(config)),
        "dtype": str(next(module.parameters()).dtype),
        "end": ends,
        "tokenizer": _tokenizer_sha256(tokenizer),
        "template": fingerprint(_plain(tokenizer.chat_template)),
        "arguments": _plain({**_clock(tokenizer.chat_template), **arguments}),
    }


def _clock(template: Any) -> dict[str, str]:
    """The day that it is for a template that asks."""
    from plumbrule.models.chat import TODAY, asks_date

    return {"date": TODAY.isoformat()} if asks_date(template) else {}


def _tokenizer_sha256(tokenizer: Any) -> str:
    """Hash of how text becomes tokens, free of the padding that calls switch on and off."""
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return fingerprint([tokenizer.get_vocab(), special])
    content = json.loads(backend.to_str())
    return fingerprint([{**content, "padding": None, "truncation": None}, special])


def _plain(value: Any) -> Any:
    """The same with everything JSON cannot hold written out as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    return repr(value)
