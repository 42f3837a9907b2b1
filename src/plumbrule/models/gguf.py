"""Weights in GGUF, unpacked once into an ordinary folder that everything here can open and train.

transformers reads the file; the package `gguf` has to be there. The folder lies in the user's cache
under the hash of the file, so that a file is unpacked once.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from plumbrule.errors import ModelError
from plumbrule.store import file_sha256, storage_errors

UNPACKING = 1
"""Raised whenever the same file would give another folder."""


def gguf_in(path: Path) -> Path | None:
    """The file of a GGUF model: the path itself, or the one in a folder without other weights.

    Raises:
        ModelError: There are several in the folder.
    """
    if path.is_file():
        return path if path.suffix == ".gguf" else None
    found = sorted(path.glob("*.gguf"))
    if not found or any(path.glob("*.safetensors")):
        return None
    if len(found) > 1:
        raise ModelError(
            f"expected one GGUF file in {path}, found {len(found)}; give the file itself, such as "
            f"{found[0]}"
        )
    return found[0]


def unpacked(file: Path) -> Path:
    """The folder that a GGUF file was unpacked into, now or before.

    Raises:
        ModelError: The file cannot be read as a model, or the package `gguf` is not installed.
        StorageError: The disk does not take the weights.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbrule" / "gguf"
    folder = root / f"{file_sha256(file)[:32]}-{UNPACKING}"
    if (folder / "config.json").exists():
        return folder
    module, tokenizer = _read(file)
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=root, prefix=".unpacking-"))
        try:
            _save(module, tokenizer, partial)
            try:
                partial.rename(folder)
            except OSError:  # another process was faster
                if not (folder / "config.json").exists():
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _read(file: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from plumbrule.models.checkpoint import reproducibly

    place: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        import gguf  # noqa: F401 - only to see that it is there
    except ImportError as error:
        raise ModelError(
            f"expected the package gguf, to read {file}, it is not installed: pip install "
            "'plumbrule[gguf]', or give a folder with safetensors"
        ) from error
    try:
        with reproducibly():
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
            module = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **place)
        rows = int(module.get_input_embeddings().weight.shape[0])
        tokenizer = _within(tokenizer, rows)
    except Exception as error:  # the library lets anything through that a file brings about
        raise ModelError(
            f"expected {file} to hold a causal language model of a kind that transformers reads "
            f"from GGUF, it does not: {type(error).__name__}: {error}"
        ) from error
    return module, tokenizer


def _within(tokenizer: Any, rows: int) -> Any:
    """The tokenizer without tokens that the library gives it and the model has no row for."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    if max(tokenizer.get_vocab().values()) < rows:
        return tokenizer
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["added_tokens"] = [one for one in content["added_tokens"] if one["id"] < rows]
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    kept = {
        name: getattr(tokenizer, name)
        for name in names
        if (number := getattr(tokenizer, f"{name}_id", None)) is not None and number < rows
    }
    clean = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)), **kept
    )
    clean.chat_template = tokenizer.chat_template
    return clean


def _save(module: Any, tokenizer: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    if hasattr(module.config, "quantization_config"):
        del module.config.quantization_config  # the numbers are ordinary ones now
    weights = {name: value.contiguous().clone() for name, value in module.state_dict().items()}
    if getattr(module.config, "tie_word_embeddings", False):
        head = module.get_output_embeddings()
        for name in [name for name, part in module.named_modules() if part is head]:
            weights.pop(f"{name}.weight", None)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    module.config.save_pretrained(folder)
    folder.chmod(0o755)
