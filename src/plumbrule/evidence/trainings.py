"""What a training learned from, made again from records.

A training is named by one hash over its starting weights, settings, seed and data. Where all four
are among the records, the hash is made again, and a swapped label or a changed setting shows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from plumbrule.evidence.records import RunRecord
from plumbrule.loop.steps import Candidate, best_and_worst
from plumbrule.loop.ways import parted
from plumbrule.records import Exchange, Preference, to_json
from plumbrule.training import RevisionTrail, examples_to_imitate, sift_revisions, with_reasons
from plumbrule.training.checkpoints import recorded_inputs
from plumbrule.training.settings import TrainingSettings

Identities = Mapping[str, Mapping[str, Any]]
"""What identities of models are the hash of (`parts`), and the files of their folders (`files`), by
identity; as whoever exported found them."""


def inputs_again(record: RunRecord, stage: str, identities: Identities) -> str | None:
    """Make the hash of a training's inputs again.

    Args:
        record: The run.
        stage: Such as `train/dpo`.
        identities: Models that whoever exported had at hand.

    Returns:
        The hash; None where a part of what it is made of is not among the records.
    """
    config = record.config
    if config.recipe != "constitutional" or config.watched or config.human_pairs:
        return None
    if "amends" in record.named:  # learns from another run's records too
        return None
    settings: TrainingSettings
    data: Sequence[Any] | None
    if stage == "train/supervised":
        start = identities.get(record.named.get("model", ""), {}).get("files", {})
        settings, data = config.supervised, _imitated(record)
    elif stage == "train/reward":
        start, settings, data = record.model("models/supervised"), config.reward, _labels(record)
    elif stage == "train/dpo":
        start, settings, data = record.model("models/supervised"), config.dpo, _pairs(record)
    else:
        return None
    if not start or data is None or "adapter_config.json" in start:
        return None
    return recorded_inputs(start, settings, seed=config.seed, data=data).sha256


def _imitated(record: RunRecord) -> Sequence[Any] | None:
    if record.config.revising.learn_revising or record.constitution is None:
        return None  # needs the words of the judging prompts, which are known by a hash
    if not {"revise", "helpful"} <= set(record.stages):
        return None
    trails = record.stage("revise", RevisionTrail)
    settings = record.config.revision_filter
    sifted = None if settings is None else sift_revisions(trails, settings)
    examples = examples_to_imitate(trails, record.stage("helpful", Exchange), sifted=sifted)
    kept = {each.id for each in examples}
    used = [each for each in trails if each.revised and each.first.id in kept]
    examples = with_reasons(examples, used, record.constitution, settings=record.config.revising)
    return [[to_json(each.dialogue), each.response] for each in examples]


def _labels(record: RunRecord) -> Sequence[Any] | None:
    if "compare" not in record.stages:
        return None
    labels = record.stage("compare", Preference)
    decided = [each for each in labels if each.probability is not None]
    if {each.weight for each in decided} != {1.0}:
        return None
    return [[_plain(each) for each in part] for part in parted(decided, record.config.seed)]


def _plain(each: Preference) -> Sequence[Any]:
    return [to_json(each.dialogue), each.first, each.second, each.probability]


def _pairs(record: RunRecord) -> Sequence[Any] | None:
    if "rewards" not in record.stages:
        return None
    config = record.config
    scored = record.stage("rewards", Candidate)
    pairs = best_and_worst(scored, config.candidates, least_margin=config.least_margin)
    return [[to_json(each.dialogue), each.chosen, each.rejected] for each in pairs]
