"""Models that a verb asks, opened once each, with the answers that were paid for kept."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to import; --help must not wait for it
    from plumbrule.models import LanguageModel


def open_beside(
    out: Path, *specs: str | None, device: str, dtype: str
) -> "dict[str | None, LanguageModel]":
    """Open models, each once; answers of endpoints are kept beside the folder that is written.

    Args:
        out: The folder that the verb writes.
        specs: Hub ids, folders, `lab:NAME` or endpoints; None, for a model that was not asked
            for, is left out.
        device: `auto`, `cpu` or `cuda`.
        dtype: `auto`, `float32` or `bfloat16`.

    Returns:
        The models by their specs.

    Raises:
        ModelError: One cannot be opened.
    """
    from plumbrule.folders import paid_answers
    from plumbrule.models import open_model

    return {
        spec: open_model(spec, device=device, dtype=dtype, cache=paid_answers(out))
        for spec in dict.fromkeys(specs)
        if spec is not None
    }
