"""Whether one model was made from another by changing its weights, before anything else is asked.

A comparison with the wrong parent finds thousands of differences and explains none of them.
"""

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plumbrule.behavior.weights.changes import WeightChanges, compare_folders, compare_weights
from plumbrule.behavior.weights.records import Rounding, WeightReport
from plumbrule.errors import ConfigError, ModelError
from plumbrule.models import LocalModel
from plumbrule.models.checkpoint import check_adapter
from plumbrule.records import strict

Verdict = Literal["identical", "child", "unrelated", "unknown"]

CHILD = 0.5
"""Smallest cosine of the median matrix with its base that a child has.

At equal norms it stands for a relative change of 1, as large as the weights themselves. The lab's
organisms, trained far harder than is usual, stay above 0.96 (relative change up to 0.3).
"""

UNRELATED = 0.1
"""Largest cosine of the median matrix that independent models have.

Between independent matrices of n numbers the cosine has mean 0 and standard deviation about
1 / sqrt(n): 0.04 for the smallest matrices of the smallest specimen (24 by 24), 0.0005 for a
matrix of 2048 by 2048. Two specimens trained in one village from different seeds have -0.01;
with norms and biases counted, which start alike everywhere, they would have 0.18. The relative
change is then about sqrt(2), 1.41, at equal norms.
"""


@strict
@dataclass(frozen=True, kw_only=True)
class MostChanged:
    """One of the tensors that changed most."""

    name: str

    relative: float | None
    """Norm of its change over its norm in the base; None where that is zero."""

    stable_rank: float | None
    """About how many directions the change has; None where it is no matrix."""


@strict
@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What the weights, the tokenizers and the templates of two models say about their kinship."""

    verdict: Verdict

    reason: str
    """One sentence."""

    relative_change: float | None
    """Norm of all changes over the norm of the base; about 1.41 for strangers."""

    cosine: float | None
    """Of the median matrix, base with tuned: 1 for the same, about 0 for strangers."""

    tensors: int
    """Compared."""

    changed: int
    """Of these, how many differ in any number."""

    most_changed: tuple[MostChanged, ...]
    """The largest relative change first; at most ten."""

    rounding: Rounding | None
    """Type whose rounding explains every difference; None where none does or nothing changed."""

    same_tokenizer: bool | None
    """Whether any text becomes the same tokens; None where it cannot be told."""

    tokenizer_note: str
    """What differs, or why it cannot be told."""

    same_template: bool | None
    """Whether dialogues become the same text; None where a side has no template."""


def lineage(
    base: LocalModel | Path, tuned: LocalModel | Path, *, changes: WeightChanges | None = None
) -> Lineage:
    """Judge whether `tuned` was made from `base` by changing its weights.

    Args:
        base: The supposed parent, both models open or both as folders.
        tuned: The supposed child.
        changes: Their weights as compared already, to save reading them again.

    Returns:
        A verdict with its reason. `unknown` stands for everything between, for two models that
        have no tensor in common but might under other names, and for a model without matrices.

    Raises:
        ModelError: Weights that cannot be compared, such as quantized ones.
        ConfigError: One model is open and the other a folder.

    Example:
        >>> from plumbrule.models import model_folder
        >>> small = model_folder("lab:small")
        >>> lineage(small, small).verdict
        'identical'
    """
    tokenizers: tuple[Any, Any]
    if isinstance(base, Path) and isinstance(tuned, Path):
        changes = changes or compare_folders(base, tuned)
        tokenizers = _tokenizer(base), _tokenizer(tuned)
        tokenizers = tokenizers[0], tokenizers[1] or tokenizers[0]
    elif isinstance(base, LocalModel) and isinstance(tuned, LocalModel):
        changes = changes or compare_weights(base, tuned)
        tokenizers = base.tokenizer, tuned.tokenizer
    else:
        raise ConfigError("expected two open models or two folders, got one of each; open both")
    same, note = compare_tokenizers(*tokenizers)
    report = changes.report
    verdict, reason = judge(report)
    changed = report.changed
    return Lineage(
        verdict=verdict,
        reason=reason,
        relative_change=report.relative,
        cosine=median_cosine(report),
        tensors=len(report.tensors),
        changed=len(changed),
        most_changed=tuple(
            MostChanged(name=one.name, relative=one.relative, stable_rank=one.stable_rank)
            for one in changed[:10]
        ),
        rounding=_rounding(report),
        same_tokenizer=same,
        tokenizer_note=note,
        same_template=_same_template(*tokenizers),
    )


def judge(report: WeightReport) -> tuple[Verdict, str]:
    """The verdict on two sets of weights, and why."""
    cosine = median_cosine(report)
    if cosine is None:
        return _nothing_shared(report)
    if not report.changed and not (report.missing or report.extra or report.resized):
        return "identical", f"all {len(report.tensors)} tensors are equal in every number"
    odd = _odd(report)
    if cosine >= CHILD:
        rounding = _rounding(report)
        if rounding:
            why = f"the {len(report.changed)} that differ do so by no more than {rounding} rounding"
        elif report.changed:
            why = f"the weights moved by {_percent(report.relative)} of their norm"
        else:
            why = "all shared tensors are equal"
        return "child", f"{why}; the median matrix has a cosine of {cosine:.3f} with its base{odd}"
    if cosine <= UNRELATED:
        why = "as between models trained apart"
        return (
            "unrelated",
            f"the median matrix has a cosine of {cosine:.3f} with its base, {why}{odd}",
        )
    return "unknown", (
        f"the median matrix has a cosine of {cosine:.3f} with its base: less than a fine-tune "
        f"leaves ({CHILD}) and more than chance gives ({UNRELATED}){odd}"
    )


def median_cosine(report: WeightReport) -> float | None:
    """Cosine of the median matrix, which one transplanted or restarted tensor does not move."""
    matrices = [one for one in report.tensors if one.is_matrix]
    found = [one.cosine for one in matrices if one.cosine is not None]
    return statistics.median(found) if found else None


def compare_tokenizers(base: Any, tuned: Any) -> tuple[bool | None, str]:
    """Whether two tokenizers cut any text alike: vocabulary, merges, and what comes before them.

    Returns:
        The answer, and what differs. None where the rules of a tokenizer cannot be read.
    """
    if base is None or tuned is None:
        return None, "a model has no tokenizer"
    first, second = base.get_vocab(), tuned.get_vocab()
    if first != second:
        both = sum(second.get(token) == place for token, place in first.items())
        return False, (
            f"{both} of {len(first)} tokens of the base have the same number in the tuned model, "
            f"which has {len(second)}"
        )
    rules = _rules(base), _rules(tuned)
    if rules[0] is None or rules[1] is None:
        return None, "the vocabularies are equal; the rules of one tokenizer cannot be read"
    differing = [name for name in rules[0] if rules[0][name] != rules[1][name]]
    if differing:
        return False, f"the vocabularies are equal; these differ: {', '.join(differing)}"
    return True, "vocabulary and rules are equal"


def _rules(tokenizer: Any) -> Mapping[str, Any] | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    content = json.loads(backend.to_str())
    model = content["model"]
    return {
        "merges": model.get("merges"),
        "kind of model": [model.get("type"), model.get("byte_fallback"), model.get("unk_token")],
        "normalizer": content.get("normalizer"),
        "splitting": content.get("pre_tokenizer"),
        "added tokens": content.get("added_tokens"),
    }


def _tokenizer(folder: Path) -> Any:
    """A folder's tokenizer; where an adapter has none, that of the base it names, or None."""
    from transformers import AutoTokenizer

    names = ("tokenizer.json", "tokenizer_config.json")
    if not any((folder / name).exists() for name in names):
        if not (folder / "adapter_config.json").exists():
            return None
        folder = Path(check_adapter(folder))
        if not any((folder / name).exists() for name in names):
            return None
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises anything from KeyError to Exception itself
        raise ModelError(f"the tokenizer in {folder} cannot be read: {error}") from error


def _same_template(base: Any, tuned: Any) -> bool | None:
    templates = [getattr(one, "chat_template", None) for one in (base, tuned)]
    return None if None in templates else bool(templates[0] == templates[1])


def _rounding(report: WeightReport) -> Rounding | None:
    kinds = {one.rounding for one in report.changed}
    return kinds.pop() if len(kinds) == 1 else None


def _nothing_shared(report: WeightReport) -> tuple[Verdict, str]:
    if report.tensors and any(one.is_matrix for one in report.tensors):
        return "unknown", "the shared matrices of a model are all zeros, which point nowhere"
    if report.missing and len(report.missing) == len(report.extra):
        return "unknown", (
            "no tensor has a name in common, but there are as many on both sides: perhaps the same "
            "model under other names"
        )
    return "unrelated", (
        "no matrix has name and shape in common: another architecture or width, which changing "
        "weights cannot reach"
    )


def _odd(report: WeightReport) -> str:
    parts = [
        f"{len(found)} {what}"
        for found, what in (
            (report.missing, "tensors of the base are missing"),
            (report.extra, "tensors are new"),
            (report.resized, "differ in shape"),
        )
        if found
    ]
    return f"; {', '.join(parts)}" if parts else ""


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.3g}%"
