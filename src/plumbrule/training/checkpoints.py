"""A training run on disk: exact resume after a crash, and a result that is whole or absent.

    OUT.partial/                where a run works until it is done
        inputs.json             what decides the weights, and the circumstances of the work
        steps/checkpoint-N/     state after N steps; counts only with its seal, written last
        start/                  the starting model, where an adapter had to be merged for it
        final/                  the finished model, until it is renamed to OUT
    OUT/
        result.json             the `TrainingResult`

A process may die between any two instructions. Whatever has no seal is deleted and made again.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from plumbrule.errors import ModelError, OutputError, PlumbruleError
from plumbrule.folders import locked
from plumbrule.records import from_json, to_json
from plumbrule.store import canonical, file_sha256, fingerprint, storage_errors, write_atomic
from plumbrule.training.results import TrainingResult
from plumbrule.training.settings import TrainingSettings

CODE_VERSION = 1
"""Raised whenever the same inputs would give other weights."""

RESULT = "result.json"
_SEAL = "complete.json"
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "tokenizers")
_NO_EFFECT = ("checkpoint_every", "report_to", "most_ratio", "most_drift")
_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All that decides the weights that a run ends with."""

    stage: str
    model: str
    settings: Mapping[str, Any]
    seed: int
    data: str

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the weights."""
        return fingerprint([CODE_VERSION, asdict(self)])


def inputs_of(model: Path, settings: TrainingSettings, *, seed: int, data: object) -> Inputs:
    """Name what a run depends on.

    Args:
        model: Folder of the starting model.
        settings: Those without effect on the weights are left out.
        seed: The run's seed.
        data: What is trained on, as JSON holds it.
    """
    return _inputs(model_sha256(model), settings, seed=seed, data=data)


def recorded_inputs(
    files: Mapping[str, str], settings: TrainingSettings, *, seed: int, data: object
) -> Inputs:
    """The same for a starting model that is known by the hashes of its files alone.

    Args:
        files: SHA-256 of every file of its folder, by name; it is no adapter.
        settings: As for `inputs_of`.
        seed: The same.
        data: The same.
    """
    kept = {
        name: digest
        for name, digest in files.items()
        if name != RESULT and any(fnmatch(name, kind) for kind in _MODEL_FILES) and "/" not in name
    }
    return _inputs(fingerprint(kept), settings, seed=seed, data=data)


def _inputs(model: str, settings: TrainingSettings, *, seed: int, data: object) -> Inputs:
    decisive = {name: value for name, value in asdict(settings).items() if name not in _NO_EFFECT}
    return Inputs(
        stage=settings.stage(),
        model=model,
        settings=decisive,
        seed=seed,
        data=fingerprint(data),
    )


def model_sha256(folder: Path) -> str:
    """Hash of a model's files, and of the model under it where it is an adapter.

    Where the files lie has no part in it, so a model may be moved or copied between two calls.
    """
    files: dict[str, str] = {}
    for path in sorted({path for kind in _MODEL_FILES for path in folder.glob(kind)}):
        if path.name == "adapter_config.json":
            config = json.loads(path.read_text(encoding="utf-8"))
            files["base"] = model_sha256(base_of(folder))
            files[path.name] = fingerprint({**config, "base_model_name_or_path": None})
        elif path.name != RESULT:
            files[path.name] = file_sha256(path)
    return fingerprint(files)


def base_of(folder: Path) -> Path:
    """Folder of the model under an adapter.

    Raises:
        ModelError: The adapter names none that is here.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    name = str(config.get("base_model_name_or_path") or "")
    for candidate in (Path(name), folder / name):
        if name and (candidate / "config.json").exists():
            return candidate.resolve()
    raise ModelError(
        f"expected the folder of the model under the adapter {folder}, its adapter_config.json "
        f"names {name!r}, which is none here; write the folder into base_model_name_or_path"
    )


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A state to go on from."""

    path: Path
    step: int

    seconds: float
    """Wall-clock time that it took to get there."""

    tokens: int
    """Tokens trained on by then, where they are counted on the way; else 0."""


@dataclass(frozen=True, kw_only=True)
class TrainingWorkspace:
    """The folder of one run that is not done yet, held by this process alone."""

    out: Path
    folder: Path
    inputs: Inputs

    most_at_once: int | None = None
    """Examples that fit into memory at once, once more than that did not."""

    @property
    def steps(self) -> Path:
        """Where checkpoints go."""
        return self.folder / "steps"

    def last_checkpoint(self) -> Checkpoint | None:
        """The latest complete state; whatever lies beside it is deleted."""
        found: list[Checkpoint] = []
        for path in self._checkpoints():
            seal = _read(path / _SEAL)
            if seal is not None and _sizes(path) == seal["files"]:
                del seal["files"]
                found.append(Checkpoint(path=path, **seal))
        last = max(found, key=lambda checkpoint: checkpoint.step, default=None)
        for path in self._checkpoints():
            if last is None or path != last.path:
                shutil.rmtree(path)
        return last

    def last_sealed(self) -> Path | None:
        """Where the latest complete state lies; nothing is deleted."""
        sealed = [path for path in self._checkpoints() if (path / _SEAL).is_file()]
        return max(sealed, key=lambda path: int(path.name.rpartition("-")[2]), default=None)

    def seal(self, path: Path, *, step: int, seconds: float, tokens: int) -> None:
        """Make a written checkpoint count, then delete the one before it."""
        with storage_errors(path):
            _sync(path)
            seal = {"step": step, "seconds": seconds, "tokens": tokens, "files": _sizes(path)}
            write_atomic(path / _SEAL, canonical(seal))
            for other in self._checkpoints():
                if other != path:
                    shutil.rmtree(other)  # half a deletion leaves nothing that counts: see `_sizes`

    def fresh(self, name: str) -> Path:
        """An empty folder in the workspace."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def finish(self, final: Path, result: TrainingResult) -> TrainingResult:
        """Turn the finished folder into the output, in one step."""
        content = to_json(replace(result, path=Path()))
        del content["path"]
        write_atomic(final / RESULT, json.dumps(content, indent=2, sort_keys=True) + "\n")
        with storage_errors(self.out):
            _sync(final)
            os.rename(final, self.out)
            _sync_folder(self.out.parent)
        self.discard()
        return replace(result, path=self.out)

    def discard(self) -> None:
        """Delete the workspace."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _checkpoints(self) -> list[Path]:
        return sorted(self.steps.glob("checkpoint-*"))


def finished(out: Path, inputs: Inputs) -> TrainingResult | None:
    """The result of a run that was done before; None where there is none.

    Raises:
        OutputError: The folder holds something else, or a model made from other inputs.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / RESULT).is_file():
        raise OutputError(
            f"expected {out} to be absent or a model trained before, it holds something else; "
            "choose another output folder"
        )
    content = json.loads((out / RESULT).read_text(encoding="utf-8"))
    result = from_json(TrainingResult, {**content, "path": str(out)}, origin=str(out / RESULT))
    if result.inputs_sha256 != inputs.sha256:
        raise OutputError(
            f"expected {out} to be trained from the same model, data, settings and seed, it was "
            "trained from others; choose another output folder or delete this one"
        )
    return result


@contextmanager
def workspace(out: Path, inputs: Inputs, *, circumstances: object) -> Iterator[TrainingWorkspace]:
    """Hold the folder in which a run works.

    Args:
        out: Where the result will be.
        inputs: What decides the weights.
        circumstances: What the last bits depend on besides: device, threads. Where they or a
            library's version changed since, checkpoints are dropped and training starts again.

    Raises:
        OutputError: Another process works there, or the folder belongs to a run on other inputs.
        StorageError: The disk refuses the folder.
    """
    folder = out.parent / f"{out.name}.partial"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    busy = f"another process is training in {folder}; wait for it, or choose another folder"
    with locked(folder / "lock", busy=busy):
        known = _read(folder / "inputs.json")
        if known is not None and known["inputs"] != inputs.sha256:
            if any((folder / "steps").glob(f"checkpoint-*/{_SEAL}")):
                raise OutputError(
                    f"{folder} holds an unfinished training from another model, other data, "
                    "settings or seed; delete it or choose another output folder"
                )
            known = None  # it has done nothing yet that would be lost
        around = {"circumstances": circumstances, "packages": _versions(_PACKAGES)}
        if known is None or known["around"] != around:
            shutil.rmtree(folder / "steps", ignore_errors=True)
            content = {"inputs": inputs.sha256, "around": around, **asdict(inputs)}
            write_atomic(folder / "inputs.json", canonical(content))
        space = TrainingWorkspace(out=out, folder=folder, inputs=inputs)
        try:
            yield space
        except PlumbruleError as error:
            if error.exit_code == 2 and space.last_checkpoint() is None:
                space.discard()
            raise


@contextmanager
def following(out: Path, inputs: Inputs) -> Iterator[TrainingWorkspace]:
    """The same folder for a process that another one, which holds it, trains together with."""
    yield TrainingWorkspace(out=out, folder=out.parent / f"{out.name}.partial", inputs=inputs)


def _versions(packages: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _read(path: Path) -> dict[str, Any] | None:
    """An object from a file; None where there is none."""
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of a checkpoint, its seal left out."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _SEAL
    }


def _sync(folder: Path) -> None:
    """Bring a folder's content to the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in [*sorted(p for p in folder.rglob("*") if p.is_dir()), folder]:
        _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
