"""The folder of a comparison: inputs bound, every draw kept, decisions and report written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from plumbrule.behavior.certifying import Certificate
from plumbrule.behavior.comparing import compare_models
from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.pair import Draft, PairedReply
from plumbrule.behavior.recording import CODE_VERSION
from plumbrule.behavior.results import Comparison
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.validation import HypothesisVerdict, ScoredPair
from plumbrule.errors import DataError, ModelError
from plumbrule.folders import held_folder
from plumbrule.ledger import Ledger
from plumbrule.models import LanguageModel
from plumbrule.records import Prompt, strict, to_json, to_jsonl
from plumbrule.store import Tell, canonical, file_sha256, fingerprint, silent, write_atomic

MARKER = "compare.json"

_settings = TypeAdapter(CompareSettings)


@strict
@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What `--verify` computes again from the records."""

    settings: dict[str, Any]
    hypotheses: tuple[Hypothesis, ...]
    stopped: dict[str, str]
    verdicts: tuple[HypothesisVerdict, ...]
    certificate: Certificate
    looked_at: int
    """Prompts whose replies were looked at while exploring; enters the stated power."""

    named: tuple[str, ...]
    """Ids of the test prompts that a finding speaks of."""

    files: dict[str, str]
    """SHA-256 of each file of samples that the decisions rest on."""


def compare_into(
    folder: Path,
    base: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    settings: CompareSettings | None = None,
    judge: LanguageModel | None = None,
    encoder: Path | None = None,
    tell: Tell = silent,
) -> Comparison:
    """Compare two models and keep everything that the result rests on.

    Args:
        folder: Where it is kept; a comparison that was interrupted there goes on.
        base: The model before.
        tuned: The model after.
        prompts: What the models are used for.
        settings: How to compare.
        judge: A model that proposes and judges; None: built-in hypotheses alone.
        encoder: Folder of a sentence encoder that says what prompts are about; None: the base
            model's own states.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    settings = settings or CompareSettings()
    ours = {
        "settings": _settings.dump_python(settings, mode="json"),
        "named": {
            "base": base.identity,
            "tuned": tuned.identity,
            "judge": judge.identity if judge else "",
            "encoder": "" if encoder is None else _weights_of(encoder),
            "prompts": fingerprint([to_json(prompt) for prompt in prompts]),
        },
        "code": CODE_VERSION,
    }
    with (
        held_folder(folder, marker=MARKER, ours=ours, configuration=_configuration(ours)),
        Ledger.open(folder / "ledger.db") as ledger,
    ):
        ledger.record("compare/begin", "compare", ours)
        found = compare_models(
            base,
            tuned,
            prompts,
            settings=settings,
            judge=judge,
            encoder=encoder,
            folder=folder,
            identity=fingerprint(ours),
            tell=tell,
        )
        decisions = _keep(folder, found)
        ledger.record(
            "compare/decisions",
            "compare",
            {"decisions": fingerprint(to_json(decisions)), "files": dict(decisions.files)},
        )
    return found


def _weights_of(encoder: Path) -> str:
    """Hash of a sentence encoder's weights."""
    weights = encoder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(
            f"expected a folder with a sentence encoder (config.json, model.safetensors, "
            f"tokenizer.json) in {encoder}, found no model.safetensors"
        )
    return file_sha256(weights)


def _keep(folder: Path, found: Comparison) -> Decisions:
    """Write the samples that decided, and the decisions."""
    samples: Mapping[str, Sequence[ScoredPair] | Sequence[Draft] | Sequence[PairedReply]] = {
        "samples/random.jsonl": () if found.looked is None else found.looked.by_chance,
        "samples/trials.jsonl": found.trials,
        "samples/certificate.jsonl": found.drafts,
    }
    for name, records in samples.items():
        write_atomic(folder / name, to_jsonl(records))
    decisions = Decisions(
        settings=_settings.dump_python(found.settings, mode="json"),
        hypotheses=tuple(each.hypothesis for each in found.verdicts),
        stopped={each.hypothesis.id: each.stopped for each in found.verdicts},
        verdicts=tuple(found.verdicts),
        certificate=found.certificate,
        looked_at=found.looked_at,
        named=tuple(sorted(found.named)),
        files={name: file_sha256(folder / name) for name in samples},
    )
    write_atomic(folder / "decisions.json", canonical(to_json(decisions)))
    return decisions


def _configuration(ours: Mapping[str, Any]) -> str:
    """Settings and what they name, as YAML."""
    from importlib.metadata import version

    packages = ("plumbrule", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")
    lines = [
        "# All that decided this comparison.",
        f"# SHA-256: {fingerprint(ours)}",
        *[f"# {name} {version(name)}" for name in packages],
    ]
    return "\n".join(lines) + "\n" + yaml.safe_dump(dict(ours), sort_keys=False)


def read_settings(values: Mapping[str, Any]) -> CompareSettings:
    """Settings as they were saved.

    Raises:
        DataError: They are none.
    """
    try:
        return _settings.validate_python(dict(values))
    except ValueError as error:
        raise DataError(f"these are not the settings of a comparison: {error}") from error
