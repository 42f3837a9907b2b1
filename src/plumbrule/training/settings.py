"""Settings of the training stages: one frozen dataclass each, checked when it is made."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from plumbrule.errors import ConfigError
from plumbrule.records import check_ranges

Schedule = Literal["linear", "cosine", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]

_COUNTS = {
    "epochs": 10**5,
    "batch_size": 10**6,
    "micro_batch_size": 10**6,
    "max_tokens": 10**7,
    "checkpoint_every": 10**9,
    "max_new_tokens": 10**7,
    "iterations": 1000,
    "minibatches": 10**4,
    "replies_per_prompt": 4096,
}


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
        _check_whole(self)
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


def _check_whole(settings: TrainingSettings) -> None:
    """Refuse 1e30 epochs and half a batch: what counts things is a whole number within reason."""
    for name, most in _COUNTS.items():
        value = getattr(settings, name, None)
        if value is not None and not (isinstance(value, Integral) and int(value) <= most):
            raise ConfigError(
                f"{name} must be a whole number, at most {most:,}, got {value!r:.40}; "
                "give the number that you mean"
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
class KtoTraining(TrainingSettings):
    """Learn from single replies, each called desirable or not. A batch has 2 replies or more.

    Source:
        Ethayarajh et al. (2024), "KTO: Model Alignment as Prospect Theoretic Optimization",
        arXiv:2402.01306: the loss, `beta`, and the weights of the two kinds, which should be
        chosen so that both count about alike (equation 8). The default step size is TRL's.
    """

    learning_rate: float = 1e-6

    beta: float = 0.1
    """Pull toward the starting model, dimensionless; larger moves less."""

    desirable_weight: float = 1.0
    """What each desirable reply counts for, beside its own weight."""

    undesirable_weight: float = 1.0
    """What each undesirable reply counts for, beside its own weight."""

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "kto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta", "desirable_weight", "undesirable_weight"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        check_ranges(
            self, beta=(0, 10**4), desirable_weight=(0, 10**6), undesirable_weight=(0, 10**6)
        )
        for name, least in (("batch_size", 2), ("micro_batch_size", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(
                    f"{name} must be at least {least} in KTO, which measures how far the model is "
                    f"from its start on replies to other dialogues of the batch, got {value}"
                )


@dataclass(frozen=True, kw_only=True)
class PolicyTraining(TrainingSettings, ABC):
    """What learning from a reward on drawn replies needs. `batch_size` counts replies."""

    learning_rate: float = 1e-6

    max_new_tokens: int = 256
    """A drawn reply is cut here; prompts may have `max_tokens` less this."""

    iterations: int = 1
    """Times each batch of replies is learned from; checkpoints fall only between batches."""

    most_ratio: float | None = 2.0
    """Mean importance ratio at which the run is stopped, as is its inverse; None: never."""

    most_drift: float | None = 1.0
    """Mean distance of the trainer's log-probabilities from those the replies were drawn with, in
    nats per token, at which the run is stopped; None: never."""

    def steps_each(self, prompts: int) -> int:
        """Optimizer steps on each batch of so many prompts' replies."""
        return self.iterations

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.max_new_tokens < self.max_tokens:
            raise ConfigError(
                "max_new_tokens must be at least 1 and below max_tokens, to leave room for the "
                f"prompt, got {self.max_new_tokens} of {self.max_tokens}"
            )
        if self.iterations < 1:
            raise ConfigError(f"iterations must be at least 1, got {self.iterations}")
        if self.most_ratio is not None and not self.most_ratio > 1:
            raise ConfigError(f"most_ratio must be above 1 or None, got {self.most_ratio}")
        if self.most_drift is not None and not self.most_drift > 0:
            raise ConfigError(f"most_drift must be positive or None, got {self.most_drift}")
        check_ranges(self, iterations=(1, 1000), most_ratio=(1, 10**6), most_drift=(0, 10**6))


@dataclass(frozen=True, kw_only=True)
class GroupTraining(PolicyTraining, ABC):
    """What is common to methods that compare replies to one prompt with one another."""

    replies_per_prompt: int = 8
    """Replies compared with one another; a divisor of `batch_size`, at least 2."""

    temperature: float = 1.0
    """Of the drawn replies, dimensionless; above 0, or all of a group would be the same."""

    top_p: float = 1.0
    """Share of probability kept before drawing, in (0, 1]."""

    beta: float
    """Weight of the divergence from the starting model, per nat; 0 leaves that model out."""

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
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.beta < 0:
            raise ConfigError(f"beta must be at least 0, got {self.beta}")
        check_ranges(self, replies_per_prompt=(2, 4096), temperature=(0, 100), beta=(0, 10**4))


@dataclass(frozen=True, kw_only=True)
class GrpoTraining(GroupTraining):
    """Learn from a reward on the model's own replies. `batch_size` counts replies, not prompts.

    Source:
        Shao et al. (2024), "DeepSeekMath", arXiv:2402.03300: the method and the default `beta`.
        The token-level normalization of the loss is that of Yu et al. (2025), arXiv:2503.14476.
    """

    beta: float = 0.04

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "grpo"


@dataclass(frozen=True, kw_only=True)
class RlooTraining(GroupTraining):
    """Learn from a reward, each reply judged against the mean of the others to its prompt.

    Source:
        Ahmadian et al. (2024), "Back to Basics: Revisiting REINFORCE Style Optimization",
        arXiv:2402.14740: the method. The default `beta` is TRL's.
    """

    beta: float = 0.05

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "rloo"


@dataclass(frozen=True, kw_only=True)
class PpoTraining(PolicyTraining):
    """Learn from a reward by small, clipped steps, with a value head as the baseline.

    Replies are drawn from the model as it is, at temperature 1 with nothing cut off, because the
    method's ratios are of those probabilities.

    Source:
        Schulman et al. (2017), "Proximal Policy Optimization Algorithms", arXiv:1707.06347: the
        clipped surrogate and `clip`. Schulman et al. (2016), arXiv:1506.02438: `decay`. Ziegler et
        al. (2019), "Fine-Tuning Language Models from Human Preferences", arXiv:1909.08593: the
        penalty per token, `discount` 1, `decay` 0.95, the value's weight 0.1, its clipping, and
        the controller of the coefficient.
    """

    iterations: int = 4

    minibatches: int = 1
    """Optimizer steps in each pass over a batch of replies, each on its share of them."""

    clip: float = 0.2
    """How far a token's probability ratio may go from 1 and still be learned from, above 0."""

    value_clip: float = 0.2
    """How far a value may go from that at drawing and still be learned from, in rewards."""

    value_weight: float = 0.1
    """Weight of the value loss beside the policy's."""

    value_learning_rate: float = 1e-2
    """Peak step size of the value head, which starts at 0."""

    discount: float = 1.0
    """What a reward one token later counts for, in (0, 1]."""

    decay: float = 0.95
    """How fast later errors of the value fade in an advantage (lambda of GAE), in [0, 1]."""

    kl_coefficient: float = 0.05
    """Penalty per nat that a token is likelier than under the starting model."""

    kl_target: float | None = None
    """Nats per reply to which the coefficient is steered; None keeps it fixed."""

    whiten_rewards: bool = False
    """Divide a batch's rewards by their standard deviation, tokens' penalties included."""

    whiten_advantages: bool = True
    """Shift and scale a batch's advantages to mean 0 and standard deviation 1."""

    def stage(self) -> str:
        """Name of the stage, as it is recorded."""
        return "ppo"

    def steps_each(self, prompts: int) -> int:
        """Optimizer steps on each batch of so many prompts' replies."""
        return self.iterations * min(self.minibatches, prompts)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("clip", "value_clip", "value_learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        if self.kl_target is not None and not self.kl_target > 0:
            raise ConfigError(f"kl_target must be positive or None, got {self.kl_target}")
        if self.kl_target is not None and not self.kl_coefficient > 0:
            raise ConfigError(
                "kl_coefficient must be positive where kl_target steers it, because it is "
                f"multiplied, got {self.kl_coefficient}"
            )
        if not self.discount > 0:
            raise ConfigError(f"discount must be above 0 and at most 1, got {self.discount}")
        check_ranges(
            self,
            clip=(0, 100),
            value_clip=(0, 10**9),
            value_weight=(0, 10**4),
            value_learning_rate=(0, 10),
            discount=(0, 1),
            decay=(0, 1),
            kl_coefficient=(0, 10**4),
            kl_target=(0, 10**6),
            minibatches=(1, 10**4),
        )
        if self.batch_size % self.minibatches:
            raise ConfigError(
                f"minibatches must divide batch_size, got {self.minibatches} and {self.batch_size}"
            )
