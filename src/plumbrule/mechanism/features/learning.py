"""One dictionary while it is trained: steps that are exact and touch only what is active.

For `topk` and its kin a step costs the encoder's own product and little more: nothing else is as
large as batch times latents, and weights are updated in blocks that stay in the cache. Gradients
are those of the loss, found as sums over active entries; Adam is Adam, over all rows.

The loss is the share of variance that is not explained. Axes: B rows, M latents, I and O widths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from plumbrule.errors import DataError
from plumbrule.mechanism.features import sparse
from plumbrule.mechanism.features.dictionaries import Dictionary, Origin
from plumbrule.mechanism.features.settings import DictionarySettings
from plumbrule.store import derive_seed

BLOCK = 512
"""Latents whose weights are updated at once."""

EPSILON = 1e-8
WARM_UP, COOL_DOWN = 0.05, 0.5
REVIVED_UNTIL = 0.8
REVIVALS = 200
"""Times that dead latents are looked for."""

BANDWIDTH = 0.2
"""`jumprelu` only: how near to its threshold an activation counts for the threshold's slope."""

FEWEST_BATCHES = 10
"""A latent that was silent for fewer batches is not dead, however short the training."""

THRESHOLD_DECAY = 0.9
"""Of the running mean of the smallest activation that a batch kept."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step saw before it changed anything."""

    loss: float
    """Share of the scaled variance that is not explained."""

    active: float
    """Active latents a token."""


class Learner:
    """A dictionary in training; the same activations in the same batches give the same bytes."""

    def __init__(
        self, settings: DictionarySettings, inputs: Any, targets: Any, *, bounded: bool = True
    ) -> None:
        """Begin, with the center and scale of the first activations.

        Args:
            settings: How to train.
            inputs: The first activations that are read, (B, I).
            targets: What has to be written for them, (B, O).
            bounded: Whether tokens that are far larger than most are left out.

        Raises:
            DataError: They do not vary, or are not numbers.
        """
        import torch

        self.settings = settings
        self.step_number = 0
        into, out = inputs.float(), targets.float()
        lengths = into.norm(dim=1)
        self._largest = settings.outliers * float(lengths.median()) if bounded else float("inf")
        into, out = into[lengths <= self._largest], out[lengths <= self._largest]
        if not len(into):
            raise DataError("expected activations that are numbers, got NaN or inf alone")
        # Two models, or two sites, may differ in size; what is read and written is scaled apart.
        self._centers = (into.mean(0), out.mean(0))
        scales = [
            float((each - center).square().mean().sqrt())
            for each, center in zip((into, out), self._centers, strict=True)
        ]
        if not all(0.0 < scale < float("inf") for scale in scales):
            raise DataError(
                "expected activations that vary from token to token, got ones that do not, or that "
                "are not numbers; for a difference, see that both models are not the same"
            )
        self._scales = (1 / scales[0], 1 / scales[1])
        device, latents = into.device, settings.latents
        generator = torch.Generator().manual_seed(derive_seed(settings.seed, "dictionary") % 2**63)
        decoder = torch.randn(latents, out.shape[1], generator=generator)
        decoder /= torch.linalg.vector_norm(decoder, dim=1, keepdim=True)
        encoder = decoder.clone()
        if inputs is not targets and not (
            inputs.shape == targets.shape and torch.equal(inputs, targets)
        ):
            encoder = torch.randn(latents, into.shape[1], generator=generator)
            encoder /= torch.linalg.vector_norm(encoder, dim=1, keepdim=True)
        self.weights: dict[str, Any] = {
            "encoder": encoder.to(device),
            "encoder_bias": torch.zeros(latents, device=device),
            "decoder": decoder.to(device),
            "decoder_bias": torch.zeros(out.shape[1], device=device),
        }
        self._since = torch.zeros(latents, dtype=torch.long, device=device)
        self._limit = 0.0
        if settings.kind == "jumprelu":
            before = self._scaled(into, 0) @ self.weights["encoder"].mT
            share = 1 - settings.active / latents
            start = before[:4096].float().quantile(share, dim=0).clamp(min=0.01)
            self.weights["log_threshold"] = start.log()
        self._second = {name: torch.zeros_like(each) for name, each in self.weights.items()}
        self._first = (
            {name: torch.zeros_like(each) for name, each in self.weights.items()}
            if settings.momentum
            else {}
        )

    def step(self, inputs: Any, targets: Any) -> StepResult:
        """Take one step.

        Args:
            inputs: Activations, (B, I).
            targets: What has to be written for them, (B, O).

        Raises:
            DataError: The loss is not a number; nothing was changed by this step.
        """
        import torch

        far = inputs.float().norm(dim=1) > self._largest  # what is no number is not left out
        if bool(far.any()):
            inputs, targets = inputs[~far], targets[~far]
        into, out = self._scaled(inputs, 0), self._scaled(targets, 1)
        with torch.no_grad():
            if self.settings.kind in ("relu", "jumprelu"):
                found = self._dense_step(into, out)
            else:
                found = self._sparse_step(into, out)
        self.step_number += 1
        return found

    def dictionary(self, origin: Origin) -> Dictionary:
        """What was learned so far, for raw activations."""
        into, out = self._scales
        encoder = self.weights["encoder"] * (into / out)
        bias = self.weights["encoder_bias"] / out - encoder @ self._centers[0]
        threshold = None
        if self.settings.kind == "jumprelu":
            threshold = self.weights["log_threshold"].exp() / out
        elif self.settings.kind in ("batch_topk", "matryoshka"):
            threshold = bias.new_full(bias.shape, self._limit / out)
        return Dictionary(
            kind=self.settings.kind,
            encoder=encoder.cpu(),
            encoder_bias=bias.cpu(),
            decoder=self.weights["decoder"].cpu().clone(),
            decoder_bias=(self.weights["decoder_bias"] / out + self._centers[1]).cpu(),
            threshold=None if threshold is None else threshold.cpu(),
            active=self.settings.active if self.settings.kind == "topk" else None,
            origin=replace(origin, largest=self._largest if self._largest < float("inf") else None),
        )

    def state(self) -> dict[str, Any]:
        """All that a training goes on from."""
        import torch

        numbers = torch.tensor(
            [self.step_number, self._limit, self._largest, *self._scales], dtype=torch.float64
        )
        held = {
            "numbers": numbers,
            "since": self._since,
            "center_in": self._centers[0],
            "center_out": self._centers[1],
        }
        held |= {f"weight/{name}": each for name, each in self.weights.items()}
        held |= {f"second/{name}": each for name, each in self._second.items()}
        return held | {f"first/{name}": each for name, each in self._first.items()}

    @classmethod
    def restored(
        cls, settings: DictionarySettings, held: Mapping[str, Any], *, device: Any = "cpu"
    ) -> "Learner":
        """Go on from a state.

        Args:
            settings: Those of the training that wrote it.
            held: What `state` gave.
            device: Where it was trained.
        """
        numbers = held["numbers"].tolist()
        # Copied: what a file gives does not lie in memory as what was trained does, and sums would
        # be rounded otherwise.
        held = {
            name: each.to(device, copy=True) for name, each in held.items() if name != "numbers"
        }
        learner = cls.__new__(cls)
        learner.settings = settings
        number, learner._limit, learner._largest, *scales = numbers
        learner.step_number = int(number)
        learner._scales = (scales[0], scales[1])
        learner._since = held["since"]
        learner._centers = (held["center_in"], held["center_out"])

        def stored(kind: str) -> dict[str, Any]:
            return {
                name.removeprefix(kind): each
                for name, each in held.items()
                if name.startswith(kind)
            }

        learner.weights = stored("weight/")
        learner._second, learner._first = stored("second/"), stored("first/")
        return learner

    def _scaled(self, values: Any, which: int) -> Any:
        return (values.float() - self._centers[which]) * self._scales[which]

    def _sparse_step(self, into: Any, out: Any) -> StepResult:
        """Forward, gradients and update over active entries alone."""
        import torch

        weights = self.weights
        codes = self._codes(into)
        groups = list(zip((0, *self.settings.ends[:-1]), self.settings.ends, strict=True))
        share = 2 / (out.numel() * len(groups))
        parts = [codes.within(group) if len(groups) > 1 else codes for group in groups]
        written, errors = weights["decoder_bias"].expand_as(out), []
        for part, (low, high) in zip(parts, groups, strict=True):
            written = written + sparse.decoded(part, weights["decoder"][low:high])
            errors.append(written - out)
        result = self._result(errors[-1], len(codes.values) / len(into))
        slopes: list[Any] = []
        for error in reversed(errors):  # a latent counts in its own group and all behind it
            slopes.insert(0, error * share + (slopes[0] if slopes else 0))
        rate = self._rate()
        bias_slopes = torch.zeros_like(weights["encoder_bias"])
        for part, slope, (low, high) in zip(parts, slopes, groups, strict=True):
            value_slopes = sparse.value_slopes(part, weights["decoder"][low:high], slope)
            bias_slopes[low:high].index_add_(0, part.latents, value_slopes)
            table = sparse.by_latent(part, high - low)
            self._update_rows(
                table, part.values[table.order], value_slopes[table.order], slope, into, low, rate
            )
        self._adam("encoder_bias", bias_slopes, rate)
        self._adam("decoder_bias", slopes[0].sum(0), rate)
        self._note(codes, errors[-1], into)
        return result

    def _codes(self, into: Any) -> sparse.Codes:
        import torch

        encoder, bias = self.weights["encoder"], self.weights["encoder_bias"]
        if self.settings.kind == "topk":
            return sparse.encode_top(into, encoder, bias, self.settings.active)
        return sparse.top_of_batch(torch.addmm(bias, into, encoder.mT), self.settings.active)

    def _update_rows(
        self,
        table: sparse.ByLatent,
        values: Any,
        value_slopes: Any,
        slope: Any,
        into: Any,
        first: int,
        rate: float,
    ) -> None:
        """Update both vectors of each latent, a few latents at a time."""
        latents = len(table.offsets)
        for low in range(0, latents, BLOCK):
            group = (low, min(low + BLOCK, latents))
            rows = slice(first + group[0], first + group[1])
            decoder = self.weights["decoder"][rows]
            gradient = table.sums(values, slope, group)
            _along_sphere(gradient, decoder)
            self._adam("decoder", gradient, rate, rows)
            _to_sphere(decoder)
            self._adam("encoder", table.sums(value_slopes, into, group), rate, rows)

    def _adam(self, name: str, gradient: Any, rate: float, rows: slice = slice(None)) -> None:
        """One step of Adam on some rows of one tensor, in place; the gradient is used up."""
        number = self.step_number + 1
        weight, second = self.weights[name][rows], self._second[name][rows]
        decay, momentum = self.settings.second_decay, self.settings.momentum
        second.mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        if momentum:
            gradient = self._first[name][rows].lerp_(gradient, 1 - momentum)
            rate = rate / (1 - momentum**number)
        # The second moment's correction for its beginning at zero is put into rate and epsilon.
        correction = (1 - decay**number) ** 0.5
        weight.addcdiv_(
            gradient, second.sqrt().add_(EPSILON * correction), value=-rate * correction
        )

    def _dense_step(self, into: Any, out: Any) -> StepResult:
        """The same for kinds whose activations need not be few, by automatic differentiation."""
        import torch

        settings = self.settings
        leaves = {name: each.detach().requires_grad_() for name, each in self.weights.items()}
        with torch.enable_grad():
            before = torch.addmm(leaves["encoder_bias"], into, leaves["encoder"].mT)
            if settings.kind == "relu":
                values = before.relu()
                penalty = settings.sparsity * values.sum(1).mean() / out.shape[1]
            else:
                values, count = _jump(before, leaves["log_threshold"].exp())
                penalty = settings.sparsity * (count.sum(1).mean() / settings.active - 1).square()
            error = torch.addmm(leaves["decoder_bias"], values, leaves["decoder"]) - out
            loss = error.square().mean() + penalty
        result = self._result(error.detach(), float((values > 0).sum()) / len(into))
        names = list(leaves)
        gradients = dict(
            zip(names, torch.autograd.grad(loss, [leaves[name] for name in names]), strict=True)
        )
        rate = self._rate()
        _along_sphere(gradients["decoder"], self.weights["decoder"])
        for name, gradient in gradients.items():
            self._adam(name, gradient, rate)
        _to_sphere(self.weights["decoder"])
        active = (values.detach() > 0).any(0)
        self._revive(active, error.detach(), into)
        return result

    def _result(self, error: Any, active: float) -> StepResult:
        """The loss, before anything is changed.

        Raises:
            DataError: It is not a number.
        """
        loss = float(error.square().mean())
        if not loss < float("inf"):
            raise DataError(
                f"the loss is {loss} at step {self.step_number}: take a lower learning rate than "
                f"{self.settings.learning_rate:g}, or look for activations that are not numbers"
            )
        return StepResult(loss=loss, active=active)

    def _rate(self) -> float:
        """The learning rate of this step."""
        done = (self.step_number + 1) / self.settings.steps
        scale = min(1.0, done / WARM_UP, max(1 - done, 0.0) / COOL_DOWN + 1e-3)
        return self.settings.learning_rate * scale

    def _note(self, codes: sparse.Codes, error: Any, into: Any) -> None:
        """Keep what a batch says of the threshold, and of which latents live."""
        import torch

        if len(codes.values):
            least = float(codes.values.min())
            decay = THRESHOLD_DECAY if self._limit else 0.0
            self._limit = decay * self._limit + (1 - decay) * least
        active = torch.zeros(self.settings.latents, dtype=torch.bool, device=into.device)
        active[codes.latents] = True
        self._revive(active, error, into)

    def _revive(self, active: Any, error: Any, into: Any) -> None:
        """Count for how long latents were silent; begin the dead ones anew where most is missing.

        As Bricken et al. (2023) do, with one difference: the new encoder row is as long as the
        others on average, because it has to be among the largest to be active at all.
        """
        import torch

        settings = self.settings
        self._since += len(into)
        self._since[active] = 0
        every = max(1, settings.steps // REVIVALS)
        late = self.step_number >= REVIVED_UNTIL * settings.steps
        if late or (self.step_number + 1) % every:
            return
        silent = max(settings.dead_after * settings.tokens, FEWEST_BATCHES * settings.batch)
        dead = (self._since >= silent).nonzero()[:, 0]
        dead = dead[: len(into) // 2]
        if not len(dead):
            return
        seed = derive_seed(settings.seed, "revive", self.step_number)
        generator = torch.Generator().manual_seed(seed % 2**63)
        missing = error.square().sum(1).cpu()
        chosen = missing.multinomial(len(dead), generator=generator).to(error.device)
        encoder, decoder = self.weights["encoder"], self.weights["decoder"]
        alive = self._since < silent
        length = torch.linalg.vector_norm(encoder[alive], dim=1).mean() if alive.any() else 1.0
        directions = -error[chosen]
        decoder[dead] = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
        read = directions if encoder.shape[1] == decoder.shape[1] else into[chosen]
        encoder[dead] = read / torch.linalg.vector_norm(read, dim=1, keepdim=True) * length
        self.weights["encoder_bias"][dead] = 0.0
        if "log_threshold" in self.weights:
            middle = self.weights["log_threshold"].median()
            self.weights["log_threshold"][dead] = middle
        for moments in (self._second, self._first):
            for name in ("encoder", "decoder"):
                if name in moments:
                    moments[name][dead] = moments[name][alive].mean(0) if alive.any() else 0.0
        self._since[dead] = 0


def _along_sphere(gradient: Any, rows: Any) -> None:
    """Leave out of gradients what would only change a unit vector's length."""
    gradient.sub_((gradient * rows).sum(1, keepdim=True) * rows)


def _to_sphere(rows: Any) -> None:
    """Bring vectors back to length 1."""
    import torch

    rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True))


def _jump(before: Any, threshold: Any) -> tuple[Any, Any]:
    """Activations above a threshold, and how many, with slopes for the threshold.

    Source:
        Rajamanoharan et al. (2024), "Jumping ahead: improving reconstruction fidelity with JumpReLU
        sparse autoencoders", arXiv 2407.14435: straight-through estimators with a rectangle.
    """
    over = (before > threshold).to(before.dtype)
    near = ((before - threshold).abs() < BANDWIDTH / 2).to(before.dtype) / BANDWIDTH
    # Zero in value; in slope, what the rectangle says of a step that has none of its own.
    slope = near * (threshold.detach() - threshold)
    return before * over + threshold.detach() * slope, over + slope
