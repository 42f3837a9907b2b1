"""Load a model folder: weights from safetensors alone, and every way it can be wrong said by name.

Nothing here runs code that came with a model unless `trust_remote_code` says so.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.errors import ConfigError, ModelError, brief
from plumbrule.models.adapters import put_on
from plumbrule.models.identity import folder_identity
from plumbrule.models.local import LocalModel
from plumbrule.models.settings import LocalSettings

if TYPE_CHECKING:
    import torch

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
LARGEST_JSON = 64 * 2**20
"""Bytes of a configuration."""

DTYPES = ("auto", "float32", "bfloat16", "float16", "float64")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to make of a folder."""

    dtype: str
    device: str
    trust_remote_code: bool
    chat_template: Path | str | None
    plain_text: bool
    settings: LocalSettings

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.device not in DEVICES and not self.device.startswith("cuda:"):
            raise ConfigError(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")


def load_model(folder: Path, base: Path | None, spec: str, load: Load) -> LocalModel:
    """Load a checked folder, and the adapter in it where `base` is given.

    Args:
        folder: The model, or the adapter.
        base: The model under the adapter; None where `folder` is the model.
        spec: What the user typed.
        load: What to make of it.

    Raises:
        ModelError: Anything that keeps the folder from being a chat model that can be run here.
    """
    device = _device(load.device)
    tokenizer = _tokenizer(folder if base is None or _has_tokenizer(folder) else base, load)
    module = _with_adapter(folder, base, load, device)
    folders = [folder] if base is None else [base, folder]
    files = _files(folders)

    def read_again() -> Any:
        if _files(folders) != files:
            raise ModelError(f"the weights of {spec} changed on disk while they were in use")
        return _with_adapter(folder, base, load, device)

    try:
        identity = folder_identity(folders, module, tokenizer, load.settings.template_arguments)
    except ValueError as error:
        raise ModelError(
            f"expected plain numbers in the settings of {spec}, one is NaN or infinite "
            f"({brief(error)}); correct config.json or generation_config.json"
        ) from error
    try:
        return LocalModel(
            module,
            tokenizer,
            spec=spec,
            identity=identity,
            settings=load.settings,
            read_again=read_again,
        )
    except ModelError as error:
        raise ModelError(f"{spec}: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
        # The library reads a tokenizer's settings as they are and fails when it uses them.
        raise ModelError(
            f"expected a tokenizer that can be used, that of {spec} cannot: {brief(error)}; "
            "correct its settings or take the model's own files"
        ) from error


def _with_adapter(folder: Path, base: Path | None, load: Load, device: str) -> Any:
    if base is None:
        return _module(folder, load, device).eval()
    read = partial(_module, base, load, device)
    return put_on(folder, read, merge=load.settings.merge_adapter).eval()


def _files(folders: list[Path]) -> list[tuple[str, int, int]]:
    """Name, size and time of last change of all weights, which tell whether they are the same."""
    paths = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    return [(str(path), (one := path.stat()).st_size, one.st_mtime_ns) for path in paths]


def check_folder(folder: Path, *, trust_remote_code: bool) -> None:
    """See that a folder holds a causal language model whose weights are safe to read.

    Raises:
        ModelError: It does not; the message says what is missing and what to do.
    """
    config = read_json(folder / "config.json")
    _check_fields(folder, config)
    if not trust_remote_code:
        _refuse_kernels(folder, config)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for kind in PICKLES for path in folder.glob(kind))
        if pickles:
            raise ModelError(
                f"expected weights in safetensors, {folder} has {pickles[0]}: a pickle can run "
                "code when it is read, "
                "so it is not opened. Convert it where you trust it: "
                "AutoModelForCausalLM.from_pretrained(FOLDER)"
                ".save_pretrained(FOLDER) writes safetensors."
            )
        raise ModelError(f"expected *.safetensors weights in {folder}, found none")
    for path in weights:
        check_safetensors(path)
        if not config.get("quantization_config"):  # with one, the library knows how to read them
            _refuse_codes(path)
    _check_causal(folder, config, trust_remote_code=trust_remote_code)


def check_adapter(folder: Path) -> str:
    """See that a folder holds an adapter that is safe to read, and name the model under it."""
    base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    weights = folder / "adapter_model.safetensors"
    if not weights.exists():
        raise ModelError(
            f"expected adapter_model.safetensors in {folder}, found none; save the adapter with "
            "save_pretrained "
            "of a current version, which writes safetensors"
        )
    check_safetensors(weights)
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"expected base_model_name_or_path in {folder / 'adapter_config.json'} to name the "
            "model under the adapter, "
            f"got {base!r}; write the folder or hub id there"
        )
    return base


def check_safetensors(path: Path) -> None:
    """Read a file's header, which a cut or damaged file fails."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():  # reading a pipe would wait for ever
        raise ModelError(f"expected {path} to be a file, it is something else")
    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"expected {path} to be a whole safetensors file, it is damaged ({error}); copy or "
            "download it again"
        ) from error


def _check_fields(folder: Path, config: dict[str, Any]) -> None:
    """See that what is read of a configuration is what it should be."""
    names = config.get("architectures")
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    for name, right, kind in (
        ("model_type", isinstance(config.get("model_type"), str), "a name"),
        ("architectures", names is None or listed, "a list of names"),
        ("auto_map", isinstance(config.get("auto_map") or {}, dict), "an object"),
    ):
        if name in config and not right:
            raise ModelError(
                f"expected {name} in {folder / 'config.json'} to be {kind}, got "
                f"{config[name]!r:.60}; correct it or take the model's own file"
            )


def _refuse_kernels(folder: Path, config: dict[str, Any]) -> None:
    """Refuse an attention that would be fetched: it is code of a stranger's."""
    for part in (config, *(each for each in config.values() if isinstance(each, dict))):
        for name, value in part.items():
            if not name.strip("_").startswith(("attn_implementation", "experts_implementation")):
                continue
            values = value.values() if isinstance(value, dict) else [value]
            if any(isinstance(each, str) and "/" in each for each in values):
                raise ModelError(
                    f"{folder / 'config.json'} names code to be fetched for its attention "
                    f"({name}: {value!r:.80}), which is not run unless you ask for it: take that "
                    "line out, or read the code and give trust_remote_code=True"
                )


def _refuse_codes(path: Path) -> None:
    """Refuse codes of quantized weights, which the library would read as if they were weights."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 - a file of tensors is no mapping
            part = file.get_slice(name)
            # Old checkpoints keep attention masks as bytes with four axes.
            if part.get_dtype() in ("I8", "U8") and len(part.get_shape()) < 4:
                raise ModelError(
                    f"expected weights as numbers of 16 bits or more, {path} is quantized: {name} "
                    f"is {part.get_dtype()}, and config.json does not say how to read it. Give the "
                    "model from before quantization, or one saved after dequantizing it."
                )


def read_json(path: Path) -> dict[str, Any]:
    """An object from a model's folder."""
    if not path.exists():
        raise ModelError(
            f"expected a model folder with {path.name}, {path.parent} has none; give the folder "
            "that save_pretrained "
            "wrote"
        )
    if not path.is_file() or path.stat().st_size > LARGEST_JSON:
        raise ModelError(
            f"expected {path} to be a file of at most {LARGEST_JSON // 2**20} MiB, it is not"
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"expected {path} to be JSON, it is not: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"expected {path} to hold an object, got a {type(value).__name__}")
    return value


def _check_causal(folder: Path, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind, names = config.get("model_type"), config.get("architectures") or []
    remote = (config.get("auto_map") or {}).get("AutoModelForCausalLM")
    if kind not in CONFIG_MAPPING or (remote and kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        if remote and trust_remote_code:
            return
        if remote:
            raise ModelError(
                f"{folder} brings its own code ({remote}), which is not run unless you ask for "
                "it: read it, then "
                "give trust_remote_code=True, or take a model that needs none"
            )
        raise ModelError(
            f"expected a kind of model this version of transformers knows, config.json in "
            f"{folder} names "
            f"{kind!r}; update transformers or correct the file"
        )
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    answers = {known} if isinstance(known, str) else set(known or ())
    # A model may be saved under a sibling class; one that names only others cannot write replies.
    if not answers or config.get("is_encoder_decoder") or (names and not answers & set(names)):
        raise ModelError(
            f"expected a causal language model, {folder} holds {', '.join(names) or kind}; "
            "take a decoder trained to write text"
        )


def _device(name: str) -> str:
    import torch

    cuda = torch.cuda.is_available()
    if name.startswith("cuda") and not cuda:
        raise ModelError("expected a CUDA device for device='cuda', found none; use device='cpu'")
    return name if name != "auto" else "cuda" if cuda else "cpu"


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("tokenizer.json", "tokenizer_config.json"))


def _tokenizer(folder: Path, load: Load) -> Any:
    from transformers import AutoTokenizer

    if not _has_tokenizer(folder):
        raise ModelError(
            f"expected a tokenizer in {folder} (tokenizer.json or tokenizer_config.json), found "
            "none; save it there "
            "with tokenizer.save_pretrained"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=load.trust_remote_code, local_files_only=True
        )
    except Exception as error:  # the library raises anything from KeyError to Exception itself
        raise ModelError(f"the tokenizer in {folder} cannot be read: {brief(error)}") from error
    if load.chat_template is not None:
        tokenizer.chat_template = _template(load.chat_template)
    elif load.plain_text and not tokenizer.chat_template:
        tokenizer.chat_template = _plain(tokenizer)
    return tokenizer


def _plain(tokenizer: Any) -> str:
    """A template that puts messages behind what the tokenizer puts before every text."""
    first = tokenizer("")["input_ids"][:1]
    begins = "{{ bos_token }}" if first and first[0] == tokenizer.bos_token_id else ""
    return begins + "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def _template(given: Path | str) -> str:
    try:
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"expected chat_template to name a text file: {error}") from error


def _module(folder: Path, load: Load, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with reproducibly():
        try:
            module, report = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=load.dtype if load.dtype == "auto" else getattr(torch, load.dtype),
                use_safetensors=True,
                trust_remote_code=load.trust_remote_code,
                local_files_only=True,
                output_loading_info=True,
            )
        except Exception as error:  # the library lets anything through that a file brings about
            raise ModelError(f"the model in {folder} cannot be loaded: {brief(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:  # the library would fill them with random numbers and go on
        raise ModelError(
            f"expected all weights of the model in {folder}, {len(missing)} are missing, such as "
            f"{missing[0]}; "
            "copy or download it again"
        )
    if load.dtype == "auto" and device == "cpu" and not fast_on_cpu(module.dtype):
        module = module.float()
    return module.to(device)


def fast_on_cpu(dtype: "torch.dtype") -> bool:
    """Whether this processor calculates in such numbers at least as fast as in 32 bits.

    Without instructions of its own for bfloat16 a processor takes hundreds of times as long. Asked
    of the processor rather than timed, so that a busy machine cannot change what is loaded.
    """
    import torch

    if dtype == torch.bfloat16:
        return any(able for name, able in torch.cpu.get_capabilities().items() if "bf16" in name)
    return dtype != torch.float16  # which also has less range


@contextmanager
def reproducibly() -> Iterator[None]:
    """No progress bars from the library while it reads weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
