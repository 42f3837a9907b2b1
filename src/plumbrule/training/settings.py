"""Settings of the training stages: one frozen dataclass each, checked when it is made."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from plumbrule.errors import ConfigError
from plumbrule.records import check_ranges

Schedule = Literal["linear", "cosine", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """A low-rank adapter in place of full weights.

    Source:
        Hu et al. (2021), "LoRA", arXiv:2106.09685: the method. Adapting every linear layer rather
        than attention alone follows Dettmers et al. (2023), arXiv:2305.14314.
    """

    rank: int = 16
    """Width of the two factors, dimensionless."""

    alpha: float = 32.0
    """The update is scaled by alpha / rank."""

    dropout: float = 0.0
    """Share of the adapter's inputs zeroed at each step, in [0, 1)."""

    targets: str | tuple[str, ...] = "all-linear"
    """Names of the modules that are adapted; `all-linear` is all but the output layer."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"rank must be at least 1, got {self.rank}")
        check_ranges(self, rank=(1, 2**16), alpha=(0, 10**6))
        if not self.alpha > 0:
            raise ConfigError(f"alpha must be positive, got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if not self.targets:
            raise ConfigError("targets must name a module or be `all-linear`, got none")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ABC):
    """What every training stage needs to know."""

    learning_rate: float
    """Peak step size of AdamW."""

    epochs: int = 1
    """Times each example is seen."""

    batch_size: int = 32
    """Examples per optimizer step; a smaller data set is one batch an epoch."""

    micro_batch_size: int | None = None
    """Examples in memory at once, a divisor of `batch_size`; None takes the whole batch."""

    warmup_share: float = 0.03
    """Share of the steps over which the step size rises from 0, in [0, 1)."""

    schedule: Schedule = "linear"
    """How the step size goes on after the warm-up."""

    weight_decay: float = 0.0
    """Decoupled weight decay, per unit of step size; norms and biases are spared."""

    gradient_clip: float = 1.0
    """Largest Euclidean norm of the gradient; longer ones are scaled down to it."""

    max_tokens: int = 2048
    """Prompt and reply together; a longer example is refused, never cut."""

    lora: LoraSettings | None = None
    """Train a low-rank adapter; None trains the full weights."""

    precision: Precision = "auto"
    """Arithmetic of the forward pass; `auto` is bfloat16 on CUDA and float32 elsewhere."""

    gradient_checkpointing: bool | None = None
    """Recompute activations to save memory; None does so from half a billion parameters on."""

    group_by_length: bool = True
    """Put examples of similar length into one batch, so that less is padded."""

    checkpoint_every: int | None = None
    """Optimizer steps between checkpoints; None keeps their cost to a twentieth of the time."""

    report_to: str = "none"
    """Where training logs go: `none`, or a tracker that transformers knows, e.g. `wandb`."""

    @abstractmethod
    def stage(self) -> str:
        """Name of the stage, as it is recorded."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("epochs", "batch_size", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("micro_batch_size", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1 or None, got {value}")
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ConfigError(
                f"micro_batch_size must divide batch_size, got {self.micro_batch_size} "
                f"and {self.batch_size}"
            )
        if not 0 <= self.warmup_share < 1:
            raise ConfigError(
                f"warmup_share must be at least 0 and below 1, got {self.warmup_share}"
            )
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay must be at least 0, got {self.weight_decay}")
        check_ranges(
            self,
            learning_rate=(0, 10),
            gradient_clip=(0, 10**9),
            epochs=(1, 10**5),
            batch_size=(1, 10**6),
            max_tokens=(1, 10**7),
            checkpoint_every=(1, 10**9),
            weight_decay=(0, 10),
        )
        for name, allowed in (
            ("schedule", ("linear", "cosine", "constant")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )


@dataclass(frozen=True, kw_only=True)
class SupervisedTraining(TrainingSettings):
    """Learn to reply as the examples do. The default step size is TRL's."""

    learning_rate: float = 2e-5

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "supervised"


@dataclass(frozen=True, kw_only=True)
class DocumentTraining(TrainingSettings):
    """Learn plain text, every token of it, in windows of at most `max_tokens`."""

    learning_rate: float = 2e-5

    max_tokens: int = 512
    """Tokens of a window; a longer document is cut into several, none of it is left out."""

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "documents"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_tokens < 2:
            raise ConfigError(f"max_tokens must be at least 2 for documents, got {self.max_tokens}")


@dataclass(frozen=True, kw_only=True)
class RewardTraining(TrainingSettings):
    """Learn to score replies, so that the better of two scores higher."""

    learning_rate: float = 1e-5

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "reward_model"


@dataclass(frozen=True, kw_only=True)
class DpoTraining(TrainingSettings):
    """Learn from pairs which reply to prefer, without a reward model.

    Source:
        Rafailov et al. (2023), "Direct Preference Optimization", arXiv:2305.18290: the loss, and
        from its appendix B `beta`, the step size and the batch.
    """

    learning_rate: float = 1e-6

    beta: float = 0.1
    """Pull toward the starting model, dimensionless; larger moves less."""

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "dpo"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise ConfigError(f"beta must be positive, got {self.beta}")
        check_ranges(self, beta=(0, 10**4))


@dataclass(frozen=True, kw_only=True)
class GrpoTraining(TrainingSettings):
    """Learn from a reward on the model's own replies. `batch_size` counts replies, not prompts.

    Source:
        Shao et al. (2024), "DeepSeekMath", arXiv:2402.03300: the method and the default `beta`.
        The token-level normalization of the loss is that of Yu et al. (2025), arXiv:2503.14476.
    """

    learning_rate: float = 1e-6

    replies_per_prompt: int = 8
    """Replies compared with one another; a divisor of `batch_size`, at least 2."""

    max_new_tokens: int = 256
    """A drawn reply is cut here; prompts may have `max_tokens` less this."""

    temperature: float = 1.0
    """Of the drawn replies, dimensionless; above 0, or all of a group would be the same."""

    top_p: float = 1.0
    """Share of probability kept before drawing, in (0, 1]."""

    beta: float = 0.04
    """Weight of the divergence from the starting model, per nat; 0 leaves that model out."""

    iterations: int = 1
    """Optimizer steps on each batch of replies; checkpoints fall only between batches."""

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "grpo"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.replies_per_prompt < 2:
            raise ConfigError(
                f"replies_per_prompt must be at least 2, got {self.replies_per_prompt}: "
                "a reply is judged against the others to the same prompt"
            )
        if self.batch_size % self.replies_per_prompt:
            raise ConfigError(
                f"batch_size must be a multiple of replies_per_prompt, got {self.batch_size} "
                f"and {self.replies_per_prompt}"
            )
        if not 1 <= self.max_new_tokens < self.max_tokens:
            raise ConfigError(
                "max_new_tokens must be at least 1 and below max_tokens, to leave room for the "
                f"prompt, got {self.max_new_tokens} of {self.max_tokens}"
            )
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.beta < 0:
            raise ConfigError(f"beta must be at least 0, got {self.beta}")
        if self.iterations < 1:
            raise ConfigError(f"iterations must be at least 1, got {self.iterations}")
        check_ranges(
            self,
            replies_per_prompt=(2, 4096),
            temperature=(0, 100),
            beta=(0, 10**4),
            iterations=(1, 1000),
        )
