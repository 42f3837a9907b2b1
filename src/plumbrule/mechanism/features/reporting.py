"""One dictionary looked at whole: its score, its features, their names, and plainer methods."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.mechanism.features.baselines import AgainstBaselines, against_baselines
from plumbrule.mechanism.features.comparing import ScaledLatent, scale_latents
from plumbrule.mechanism.features.describing import DescribedFeature, describe_features
from plumbrule.mechanism.features.dictionaries import Dictionary
from plumbrule.mechanism.features.naming import NamedFeature, name_features
from plumbrule.mechanism.features.scoring import DictionaryScore, score_dictionary
from plumbrule.mechanism.features.streaming import TextActivations
from plumbrule.mechanism.features.training import Progression
from plumbrule.models import LanguageModel
from plumbrule.models.unembedding import Decode
from plumbrule.records import to_json
from plumbrule.store import Tell, silent

NO_LABELS = (
    "No labeled texts were given, so that no latent is compared with a mean difference and a "
    "linear probe, which often tell texts apart as well or better."
)


@dataclass(frozen=True, kw_only=True)
class FeatureReport:
    """What is known of a dictionary."""

    dictionary: Dictionary
    score: DictionaryScore
    features: tuple[NamedFeature, ...]
    baselines: AgainstBaselines | None
    scaled: tuple[ScaledLatent, ...]
    """Latents of a crosscoder in both models, the most specific first; empty for other tasks."""

    progress: Progression | None
    """How its training went; None where it was read."""

    notes: tuple[str, ...]

    def record(self, *, title: str, command: str) -> dict[str, Any]:
        """What `report.write_page` makes a page of.

        Args:
            title: Of the page.
            command: That made it.
        """
        origin = self.dictionary.origin
        reading = origin.reading
        return {
            "schema": 1,
            "title": title,
            "command": command,
            "dictionary": {
                "kind": self.dictionary.kind,
                "task": reading.task,
                "reads": reading.site,
                "writes": reading.into or reading.site,
                "latents": self.dictionary.latents,
                "model": origin.model,
                "family": origin.family,
                "tokens skipped at the beginning of a text": origin.skipped,
            },
            "training": dict(origin.training),
            "score": to_json(self.score),
            "features": [to_json(each) for each in self.features],
            "baselines": None if self.baselines is None else to_json(self.baselines),
            "scaled": [{**to_json(each), "specific": each.specific} for each in self.scaled],
            "progress": None if self.progress is None else to_json(self.progress),
            "notes": list(self.notes),
        }


def report_features(
    dictionary: Dictionary,
    source: TextActivations,
    *,
    latents: Sequence[int] | None = None,
    top: int = 10,
    decode: Decode = str,
    labeled: tuple[TextActivations, Sequence[bool]] | None = None,
    namer: LanguageModel | None = None,
    progress: Progression | None = None,
    seed: int = 0,
    tell: Tell = silent,
) -> FeatureReport:
    """Look at a dictionary.

    Args:
        dictionary: Which.
        source: Texts that it was not trained on, and the model.
        latents: To describe; None: those that tell most.
        top: Contexts a latent.
        decode: Gives a token's text.
        labeled: Texts with a label each, to compare the best latent with plainer methods.
        namer: Model that gives names; None: none are given.
        progress: How its training went.
        seed: Of the halves of labeled texts and of the namer's draws.
        tell: Told of progress.

    Raises:
        PlumbruleError: As for the functions that this calls.
    """
    tell("scoring", 0, 1)
    score = score_dictionary(dictionary, source)
    tell("scoring", 1, 1)
    notes: list[str] = []
    baselines = None
    if labeled is None:
        notes.append(NO_LABELS)
    else:
        tell("comparing with baselines", 0, 1)
        baselines = against_baselines(dictionary, labeled[0], labeled[1], seed=seed)
        tell("comparing with baselines", 1, 1)
    described = describe_features(
        dictionary,
        source,
        latents=latents,
        also=[] if baselines is None else [baselines.latent],
        top=top,
        decode=decode,
        progress=lambda done, total: tell("describing", done, total),
    )
    if namer is None:
        named: tuple[NamedFeature, ...] = tuple(_unnamed(each) for each in described)
    else:
        tell("naming", 0, 1)
        named = name_features(described, namer, seed=seed)
        tell("naming", 1, 1)
        notes.append(
            "A name is what a model made of some contexts. Its score is how well it tells other "
            "contexts with the latent from contexts without; beside it, the same by another "
            "latent's name."
        )
    scaled: tuple[ScaledLatent, ...] = ()
    if dictionary.origin.reading.task == "crosscoder":
        scaled = scale_latents(dictionary, source)
        notes.append(
            f"{sum(each.specific for each in scaled)} of {len(scaled)} latents belong to one model "
            "alone by latent scaling; a vector that is short in one model is not enough for that."
        )
    if score.reason:
        notes.append(f"No loss recovered: {score.reason}.")
    return FeatureReport(
        dictionary=dictionary,
        score=score,
        features=named,
        baselines=baselines,
        scaled=scaled,
        progress=progress,
        notes=tuple(notes),
    )


def _unnamed(feature: DescribedFeature) -> NamedFeature:
    return NamedFeature(
        feature=feature, detection=None, shuffled=None, reason="no model was asked for names"
    )


def read_labeled(path: Path) -> list[tuple[str, bool]]:
    """Labeled texts from JSON lines, each with a `text` and a `label` that is true or false.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be read, or a line is not so; the message names the line.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected JSON lines in UTF-8, {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        good = isinstance(row, dict) and isinstance(row.get("text"), str) and row["text"]
        if not good or not isinstance(row.get("label"), bool):
            raise DataError(
                f'{path}, line {number}: expected {{"text": "...", "label": true}}, got '
                f"{line[:60]!r}"
            )
        found.append((row["text"], row["label"]))
    if not found:
        raise DataError(f"expected lines with a text and a label each, {path} has none")
    return found
