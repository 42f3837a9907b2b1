"""Several dictionaries trained in one pass over a model's texts; a killed training goes on.

The state of all of them is written once a minute, whole or not at all. Steps depend on the
settings and the chunk's number alone, so that what a killed training ends with is, byte for byte,
what it would have ended with.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.features.dictionaries import Dictionary, Origin, Reading
from plumbrule.mechanism.features.learning import Learner
from plumbrule.mechanism.features.settings import DictionarySettings
from plumbrule.mechanism.features.streaming import TextActivations, batches
from plumbrule.store import Tell, fingerprint, silent, write_atomic

CODE_VERSION = 1
"""Raised whenever the same inputs would give other dictionaries."""

STATE = "training.safetensors"
EVERY_SECONDS = 60.0
"""Between two writes of the state, and what a crash costs at most, besides one chunk."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One dictionary to train."""

    name: str
    """What it is called, such as its site; one name, one dictionary."""

    reading: Reading
    settings: DictionarySettings


@dataclass(frozen=True, kw_only=True)
class Progression:
    """How one training went, a number a chunk."""

    tokens: tuple[int, ...]
    """Tokens trained on until then."""

    loss: tuple[float, ...]
    """Share of the variance that is not explained, the chunk's last step."""

    active: tuple[float, ...]
    """Active latents a token, the chunk's last step."""


@dataclass(frozen=True, kw_only=True)
class TrainedFeatures:
    """Dictionaries and how their training went, by name."""

    dictionaries: Mapping[str, Dictionary]
    progress: Mapping[str, Progression]


def train_features(
    source: TextActivations,
    wanted: Sequence[Wanted],
    *,
    folder: Path | None = None,
    model: str = "",
    tell: Tell = silent,
) -> TrainedFeatures:
    """Train dictionaries, all of them in one pass over the texts.

    Args:
        source: Where activations come from.
        wanted: What to train, on as many tokens as the longest asks for; one that asks for fewer
            ends earlier.
        folder: Keeps the state, so that the same call goes on where a killed one stopped; None: no
            state is kept.
        model: What was typed to open the model, for the record.
        tell: Told of tokens trained on.

    Returns:
        The dictionaries, which take raw activations.

    Raises:
        ConfigError: Two have one name, or a site does not exist.
        DataError: A loss is not a number: the state written last is kept, and the message says
            where; or the state in the folder is of another training.
    """
    if not wanted or len({each.name for each in wanted}) != len(wanted):
        raise ConfigError(
            "expected dictionaries to train, each with a name of its own, got "
            f"{[each.name for each in wanted]}"
        )
    names = list(dict.fromkeys(name for each in wanted for name in each.reading.sites))
    run = _Run(source, wanted, folder)
    plan = source.plan()
    total = max(each.settings.tokens for each in wanted)
    for number, chosen in enumerate(plan):
        if run.over:
            break
        if number >= run.chunks:  # those before were trained on by the call that was killed
            try:
                run.chunk(source.read(number, chosen, names))
            except DataError as error:
                raise DataError(f"{error}. {run.kept}") from error
            tell("training", min(run.tokens, total), total)
    run.write()
    return run.trained(model)


class _Run:
    """All dictionaries of one training, and its state on disk."""

    def __init__(
        self, source: TextActivations, wanted: Sequence[Wanted], folder: Path | None
    ) -> None:
        self._source, self._wanted = source, wanted
        self._path = None if folder is None else folder / STATE
        self.chunks, self.tokens = 0, 0
        self._learners: dict[str, Learner] = {}
        self._seen: dict[str, list[list[float]]] = {each.name: [] for each in wanted}
        self._written = -1
        self._wrote = time.monotonic()
        self._key = fingerprint(
            {
                "code": CODE_VERSION,
                "source": source.identity,
                "wanted": [asdict(each) for each in wanted],
            }
        )
        if self._path is not None and self._path.exists():
            self._restore(self._path)

    @property
    def over(self) -> bool:
        """Whether every dictionary was trained for all its steps."""
        return bool(self._learners) and not any(self._going(each) for each in self._wanted)

    @property
    def kept(self) -> str:
        """What is left after an error."""
        if self._path is None or self._written < 0:
            return "Nothing was kept of this training"
        return f"The state after {self._written} chunks is kept in {self._path}"

    def chunk(self, values: Mapping[str, Any]) -> None:
        """Train on a chunk of tokens."""
        for each in self._wanted:
            if each.name not in self._learners:
                inputs = each.reading.inputs(values)
                self._learners[each.name] = Learner(
                    each.settings,
                    inputs,
                    each.reading.targets(values),
                    bounded=each.reading.task != "difference",
                )
        for each in self._wanted:
            learner, result = self._learners[each.name], None
            needed = {name: values[name] for name in each.reading.sites}
            for batch in batches(needed, each.settings.batch):
                if learner.step_number >= each.settings.steps:
                    break
                inputs = each.reading.inputs(batch)
                targets = inputs if each.reading.into is None else each.reading.targets(batch)
                result = learner.step(inputs, targets)
            if result is not None:
                done = learner.step_number * each.settings.batch
                self._seen[each.name].append([done, result.loss, result.active])
        self.tokens += len(next(iter(values.values())))
        self.chunks += 1
        if time.monotonic() - self._wrote >= EVERY_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the state; one that is there already is replaced whole."""
        if self._path is None or self._written == self.chunks:
            return
        from safetensors.torch import save

        held = {
            f"{name}/{part}": value.contiguous().cpu()
            for name, learner in self._learners.items()
            for part, value in learner.state().items()
        }
        about = {"key": self._key, "chunks": self.chunks, "tokens": self.tokens, "seen": self._seen}
        write_atomic(self._path, save(held, metadata={"plumbrule": json.dumps(about)}))
        self._written, self._wrote = self.chunks, time.monotonic()

    def trained(self, model: str) -> TrainedFeatures:
        """What came of it."""
        source = self._source
        dictionaries = {}
        for each in self._wanted:
            origin = Origin(
                reading=each.reading,
                model=model,
                identity=source.model.identity,
                base="" if source.base is None else source.base.identity,
                family=source.model.sites.family,
                skipped=source.skipped,
                training=asdict(each.settings),
            )
            dictionaries[each.name] = self._learners[each.name].dictionary(origin)
        return TrainedFeatures(
            dictionaries=dictionaries,
            progress={
                name: Progression(
                    tokens=tuple(int(row[0]) for row in seen),
                    loss=tuple(row[1] for row in seen),
                    active=tuple(row[2] for row in seen),
                )
                for name, seen in self._seen.items()
            },
        )

    def _going(self, each: Wanted) -> bool:
        return self._learners[each.name].step_number < each.settings.steps

    def _restore(self, path: Path) -> None:
        """Go on from a state.

        Raises:
            DataError: It is damaged, or of another training.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {}).get("plumbrule", "{}"))
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read; delete it to begin anew: {error}") from error
        if about.get("key") != self._key:
            raise DataError(
                f"{path} is the state of another training: of other texts, settings or weights. "
                "Choose another folder, or delete that file"
            )
        self.chunks, self.tokens, self._seen = about["chunks"], about["tokens"], about["seen"]
        self._written = self.chunks
        for each in self._wanted:
            prefix = f"{each.name}/"
            own = {
                name.removeprefix(prefix): value
                for name, value in held.items()
                if name.startswith(prefix)
            }
            device = next(self._source.model.module.parameters()).device
            self._learners[each.name] = Learner.restored(each.settings, own, device=device)
