"""From what a user types to a model: hub id, folder, adapter, lab specimen or endpoint."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from plumbrule.errors import ModelError, OutsideError
from plumbrule.models.endpoint import EndpointModel
from plumbrule.models.gguf import gguf_in, unpacked
from plumbrule.models.handle import LanguageModel
from plumbrule.models.settings import EndpointSettings, LocalSettings

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
_CODE = ["*.py"]


def is_endpoint(spec: str) -> bool:
    """Whether what a user typed names a model behind an address."""
    return spec.startswith(("http://", "https://", "openai:"))


def open_model(
    spec: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    revision: str | None = None,
    chat_template: Path | str | None = None,
    plain_text: bool = False,
    cache: Path | str | None = None,
    local: LocalSettings | None = None,
    endpoint: EndpointSettings | None = None,
) -> LanguageModel:
    """Open the model a user named.

    Args:
        spec: A hub id, a folder (a model or a PEFT adapter), a GGUF file, `lab:NAME`, `http://HOST:PORT/v1#MODEL`
            (or https), or `openai:MODEL`.
        dtype: `auto` (as saved), `float32`, `bfloat16`, `float16` or `float64`. Local models only.
        device: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`. Local models only.
        trust_remote_code: Run the code a model brings along. Leave it off unless you have read it.
        revision: Branch, tag or commit of a hub id; a commit makes a run repeatable.
        chat_template: File with a chat template, in place of the tokenizer's.
        plain_text: Where the tokenizer has no chat template, read messages as plain text instead
            of refusing the model. For looking into base models, which follow no turns.
        cache: File, or address of a PostgreSQL database, that keeps every answer paid for.
            Endpoints only.
        local: How to run a local model.
        endpoint: How to call an endpoint.

    Returns:
        A handle: `LocalModel` where the weights are at hand, `EndpointModel` where not.

    Raises:
        ModelError: The model cannot be opened; the message says what was expected and what to do.
        ConfigError: A setting is out of range.
        OutsideError: The hub did not answer.
    """
    if not spec.strip():
        raise ModelError(
            "expected the name of a model, got an empty one; give a hub id or a folder"
        )
    if is_endpoint(spec):
        return EndpointModel.open(spec, cache=cache, settings=endpoint or EndpointSettings())
    from plumbrule.models.checkpoint import Load, check_adapter, check_folder, load_model

    load = Load(
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        chat_template=chat_template,
        plain_text=plain_text,
        settings=local or LocalSettings(),
    )
    folder = model_folder(spec, revision=revision, code=trust_remote_code)
    base: Path | None = None
    if (folder / "adapter_config.json").exists():
        name = check_adapter(folder)
        base = model_folder(_beside(name, folder), revision=None, code=trust_remote_code)
        if (base / "adapter_config.json").exists():
            raise ModelError(
                f"expected a model under the adapter in {folder}, {name} is an adapter too; merge "
                "that one first"
            )
    check_folder(base or folder, trust_remote_code=trust_remote_code)
    return load_model(folder, base, spec, load)


def _beside(name: str, folder: Path) -> str:
    """A base named relative to its adapter, found from there as well as from here."""
    beside = folder / name
    return str(beside) if not Path(name).is_dir() and beside.is_dir() else name


def model_folder(spec: str, *, revision: str | None = None, code: bool = False) -> Path:
    """The folder on this disk that holds what was named."""
    if spec.startswith("lab:"):
        return _specimen(spec.removeprefix("lab:"))
    path = Path(spec).expanduser()
    try:
        path.exists()
    except OSError as error:
        raise ModelError(
            f"expected a folder or a hub id, {spec:.60} can be neither: {error.strerror}"
        ) from error
    if path.is_dir() or path.is_file():
        file = gguf_in(path)
        if file is not None:
            return unpacked(file)
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"expected a folder, {spec} is a file; give the folder it lies in")
    if spec.startswith((".", "/", "~")) or spec.count("/") > 1 or "\\" in spec:
        raise ModelError(f"expected a model folder, there is none at {spec}; check the path")
    return _download(spec, revision=revision, code=code)


def _specimen(name: str) -> Path:
    root = files("plumbrule") / "lab" / "specimens"
    found = sorted(part.name for part in root.iterdir() if part.is_dir()) if root.is_dir() else []
    names = [one for one in found if not one.startswith((".", "_"))]
    if name not in names:
        raise ModelError(
            f"expected the name of a lab specimen, got {name!r}; there are: "
            f"{', '.join(names) or 'none'}"
        )
    return Path(str(root / name))


def _download(spec: str, *, revision: str | None, code: bool) -> Path:
    """Bring a hub model to this disk, or find it there."""
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hint = "If you meant a folder, there is none of that name here."
    wanted: dict[str, Any] = {
        "allow_patterns": [*_FILES, *(_CODE if code else [])],
        "ignore_patterns": ["*/*", "consolidated*"],  # copies of the weights in other layouts
    }
    try:
        return Path(snapshot_download(spec, revision=revision, **wanted))
    except HFValidationError as error:
        raise ModelError(
            f"expected a hub id such as organization/name, got {spec!r}. {hint}"
        ) from error
    except GatedRepoError as error:
        raise ModelError(f"{spec} asks for its terms to be accepted on the hub first") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"the hub has {spec}, but no revision {revision!r} of it") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"the hub has no model {spec!r} that you may read. {hint}") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, HTTPError, OSError) as error:
        raise OutsideError(
            f"the hub did not give {spec}, and it is not on this disk: {type(error).__name__}. "
            "Check the network, "
            f"or give a folder. {hint}"
        ) from error
