"""The model that a run starts from, and the folder that it ends as.

Four cases, by what the starting folder holds and whether the settings ask for LoRA:

    model,   full weights   trained as it is
    model,   LoRA           a new adapter on it
    adapter, LoRA           the same adapter goes on, if its shape is what the settings say
    adapter, full weights   merged into its model first, then trained as a model

An adapter goes on rather than getting a second one on top: what comes out is one plain adapter on
the original model, which any tool opens, and it does not grow from stage to stage.
"""

import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationConfig,
)

from plumbrule.errors import ConfigError, ModelError
from plumbrule.models.adapters import merge_unchanged, on_tied, wrapped
from plumbrule.models.chat import Chat
from plumbrule.models.checkpoint import check_adapter, check_folder
from plumbrule.models.modules import text_config
from plumbrule.store import write_atomic
from plumbrule.training.checkpoints import RESULT, TrainingWorkspace, base_of
from plumbrule.training.reproducibility import on_cuda, reproducibly
from plumbrule.training.settings import LoraSettings, TrainingSettings
from plumbrule.training.tokenized_data import LengthLimits, TokenizedExample, encode

Task = Literal["CAUSAL_LM", "SEQ_CLS"]

_ADAPTER = "adapter_config.json"
_CONFIGS = ("config.json", "generation_config.json")
_COPIED = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to be trained, and what its folder must get besides the weights."""

    module: Any
    """The model; a PEFT model where an adapter goes on."""

    adapter: Any
    """Configuration of a new adapter that the trainer is to add; None where there is none."""

    chat: Chat
    source: Path
    """Folder of the weights without an adapter."""

    words: Path
    """Folder of the tokenizer."""

    task: Task
    lora: bool
    saved_as: torch.dtype
    """What the weights are turned into when they are saved."""

    @property
    def context(self) -> int | None:
        """Most tokens the model reads; None where it names no limit."""
        limit = getattr(text_config(self.module), "max_position_embeddings", None)
        return int(limit) if limit else None

    def encode(
        self, examples: Sequence[Any], replies: Sequence[str], settings: TrainingSettings
    ) -> list[TokenizedExample]:
        """Tokenize dialogues with their replies; see `tokenized_data.encode`."""
        return encode(
            self.chat,
            [each.id for each in examples],
            [each.dialogue for each in examples],
            replies,
            LengthLimits(max_tokens=settings.max_tokens, context=self.context),
        )


def half(settings: TrainingSettings) -> bool:
    """Whether the forward pass is done in bfloat16."""
    if settings.precision == "auto":
        return on_cuda()
    return settings.precision == "bfloat16"


def check_model(folder: Path) -> None:
    """See that a folder holds a model or an adapter that is safe to read.

    Raises:
        ModelError: It does not.
        ConfigError: Several GPUs are visible, where one process trains on one.
    """
    if torch.cuda.device_count() > 1:
        raise ConfigError(
            f"expected one visible GPU, found {torch.cuda.device_count()}: training runs in one "
            "process on one device. Set CUDA_VISIBLE_DEVICES to one of them."
        )
    if (folder / _ADAPTER).exists():
        check_adapter(folder)
        check_folder(base_of(folder), trust_remote_code=False)
    else:
        check_folder(folder, trust_remote_code=False)


def load_for_training(
    folder: Path, settings: TrainingSettings, space: TrainingWorkspace, *, task: Task = "CAUSAL_LM"
) -> LoadedModel:
    """Load what a run starts from.

    Args:
        folder: A model or an adapter.
        settings: The stage's.
        space: Where a merged model is put, if one is needed.
        task: Whether the model is to write text or to give a score.

    Raises:
        ModelError: The folder cannot be trained.
        ConfigError: It holds an adapter of another shape than the settings ask for.
    """
    adapted = (folder / _ADAPTER).exists()
    source = base_of(folder) if adapted else folder.resolve()
    words = folder if any(folder.glob("tokenizer*.json")) else source
    saved_as = _stored_type(source)
    if adapted and settings.lora is None:
        source = words = _merged(source, folder, words, space)
        adapted = False
    module = _load(source, task, _loaded_type(settings, saved_as))
    chat = _chat(words, module)
    _set_padding(module, chat.tokenizer)
    embedded = module.get_input_embeddings().weight.shape[0]
    if embedded < len(chat.tokenizer):
        raise ModelError(
            f"expected at most {embedded} tokens, which is what the model in {source} embeds, its "
            f"tokenizer has {len(chat.tokenizer)}; take the tokenizer saved with the model"
        )
    adapter = None if settings.lora is None else _lora_config(settings.lora, task, source)
    if adapted and adapter is not None:
        module, adapter = _continued(module, adapter, folder), None
    return LoadedModel(
        module=module,
        adapter=adapter,
        chat=chat,
        source=source,
        words=words,
        task=task,
        lora=settings.lora is not None,
        saved_as=saved_as,
    )


def load_reward_model(folder: Path) -> tuple[Any, Chat]:
    """Load a reward model, an adapter or a whole one, ready to score.

    Raises:
        ModelError: It cannot be loaded.
    """
    adapted = (folder / _ADAPTER).exists()
    source = base_of(folder) if adapted else folder
    with reproducibly(0):
        module = _load(source, "SEQ_CLS", torch.bfloat16 if on_cuda() else torch.float32)
        if adapted:
            module = PeftModel.from_pretrained(module, str(folder)).merge_and_unload()
    chat = _chat(folder if any(folder.glob("tokenizer*.json")) else source, module)
    _set_padding(module, chat.tokenizer)
    return module.eval(), chat


def save_final(start: LoadedModel, module: Any, space: TrainingWorkspace) -> Path:
    """Write the trained model into the workspace, with the tokenizer and template it came with."""
    final = space.fresh("final")
    if start.lora:
        module.save_pretrained(
            str(final), selected_adapters=["default"], save_embedding_layers=False
        )
        (final / "README.md").unlink(missing_ok=True)
        _settle_adapter(final / _ADAPTER, start.source)
        _copy(start.words, final, besides=_CONFIGS)
    else:
        module.to(start.saved_as).save_pretrained(final)
        # A reward model has another head than its source, so its own configuration stays.
        scores = start.task == "SEQ_CLS"
        _copy(start.words, final, besides=_CONFIGS if scores else ())
        if not scores and not (start.source / _CONFIGS[1]).exists():
            (final / _CONFIGS[1]).unlink(missing_ok=True)
    for path in final.iterdir():
        path.chmod(0o644)  # safetensors gives new files to their owner alone
    return final


def _load(source: Path, task: Task, dtype: torch.dtype) -> Any:
    kind = AutoModelForCausalLM if task == "CAUSAL_LM" else AutoModelForSequenceClassification
    given: dict[str, Any] = {} if task == "CAUSAL_LM" else {"num_labels": 1}
    try:
        module = kind.from_pretrained(
            source, dtype=dtype, use_safetensors=True, local_files_only=True, **given
        )
    except Exception as error:  # the library lets anything through that a file brings about
        raise ModelError(f"the model in {source} cannot be loaded: {error}") from error
    _set_generation(module)
    return module.to("cuda") if on_cuda() else module


def _set_generation(module: Any) -> None:
    """Leave only the ends of a reply of how the model's makers draw replies.

    The library refuses to write many a configuration that it reads; the file itself is copied, byte
    for byte, beside what is written here.
    """
    given = getattr(module, "generation_config", None)
    if given is not None:
        ends = {name: getattr(given, name, None) for name in ("eos_token_id", "bos_token_id")}
        module.generation_config = GenerationConfig(**ends)


def _chat(words: Path, module: Any) -> Chat:
    try:
        tokenizer = AutoTokenizer.from_pretrained(words, local_files_only=True)
    except Exception as error:  # the library raises anything from KeyError to Exception itself
        raise ModelError(f"the tokenizer in {words} cannot be read: {error}") from error
    ends = getattr(getattr(module, "generation_config", None), "eos_token_id", None)
    return Chat(tokenizer, stops=[] if ends is None else ends if isinstance(ends, list) else [ends])


def _set_padding(module: Any, tokenizer: Any) -> None:
    """Have the model and its tokenizer agree on what fills a batch up."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                "expected a tokenizer with a pad_token or an eos_token, to fill batches up, this "
                "one has neither; set one"
            )
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    text_config(module).pad_token_id = tokenizer.pad_token_id


def _merged(source: Path, folder: Path, words: Path, space: TrainingWorkspace) -> Path:
    """A folder with the adapter folded into its model, made anew after a crash."""
    target = space.fresh("start")
    module = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    _set_generation(module)
    adapted = wrapped(module, folder)
    mergeable = hasattr(adapted.base_model, "merge_and_unload") and not on_tied(adapted)
    merged = merge_unchanged(adapted) if mergeable else None
    if merged is None or _untied(merged):
        raise ModelError(
            f"expected an adapter that can be merged, to train the full weights, {folder} holds "
            "one of another kind, or one on a matrix that the model uses twice; merge it "
            "elsewhere, or take LoRA"
        )
    merged.save_pretrained(target)
    _copy(words, target, besides=_CONFIGS)
    for name in _CONFIGS:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    return target


def _untied(module: Any) -> bool:
    """Whether two matrices that a reader of the folder would take for one have become two."""
    head = module.get_output_embeddings()
    if not getattr(text_config(module), "tie_word_embeddings", False) or head is None:
        return False
    return bool(head.weight.data_ptr() != module.get_input_embeddings().weight.data_ptr())


def _lora_config(lora: LoraSettings, task: Task, source: Path) -> LoraConfig:
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type=task,
        base_model_name_or_path=str(source),
    )


def _continued(module: Any, adapter: LoraConfig, folder: Path) -> Any:
    """The model with the adapter from a folder, ready to be trained on."""
    found = json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))
    wrapped = get_peft_model(module, adapter)
    asked = wrapped.peft_config["default"]
    for name, have, want in (
        ("kind", found.get("peft_type"), "LORA"),
        ("rank", found.get("r"), asked.r),
        ("alpha", found.get("lora_alpha"), asked.lora_alpha),
        ("targets", _names(found.get("target_modules")), _names(asked.target_modules)),
    ):
        if have != want:
            raise ConfigError(
                f"expected LoRA settings like those of the adapter in {folder}, which goes on "
                f"being trained: its {name} is {have}, the settings say {want}; give the same, or "
                "lora=None to merge it and train the full weights"
            )
    # A reward model's new head is part of the adapter, and the policy's adapter has none.
    fresh = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    trained = load_file(folder / "adapter_model.safetensors")
    strange = sorted(set(trained) - set(fresh))
    if strange:
        raise ModelError(
            f"the adapter in {folder} does not fit its model: nothing there is called {strange[0]}"
        )
    set_peft_model_state_dict(wrapped, {**fresh, **trained})
    return wrapped


def _names(targets: Any) -> Any:
    return targets if isinstance(targets, str) or targets is None else sorted(targets)


def _settle_adapter(path: Path, source: Path) -> None:
    """Write an adapter's configuration so that it depends on its content alone."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = str(source)
    for name, value in config.items():
        # PEFT keeps these as sets, whose order changes from process to process.
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            config[name] = sorted(value)
    write_atomic(path, json.dumps(config, indent=2, sort_keys=True) + "\n")


def _copy(source: Path, target: Path, *, besides: Collection[str]) -> None:
    """Copy a folder's small files, the tokenizer and the template among them."""
    for path in sorted({path for kind in _COPIED for path in source.glob(kind)}):
        if path.name in (RESULT, _ADAPTER, *besides) or path.name.endswith(".index.json"):
            continue
        shutil.copyfile(path, target / path.name)


def _stored_type(source: Path) -> torch.dtype:
    """The kind of number the weights on disk are."""
    path = min(source.glob("*.safetensors"))
    with safe_open(path, framework="pt") as file:
        for name in sorted(file.keys()):
            kind = file.get_slice(name).get_dtype()
            if kind in _TYPES:
                return _TYPES[kind]
    raise ModelError(f"expected weights as floating-point numbers in {path}, found none")


def _loaded_type(settings: TrainingSettings, stored: torch.dtype) -> torch.dtype:
    # Full weights need the precision for their small updates; under an adapter they never change.
    return stored if settings.lora is not None and half(settings) else torch.float32
