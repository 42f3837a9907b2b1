"""The folder of an examination by a constitution: what decides it, and what is recorded of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from plumbrule.compliance import Oracle
from plumbrule.constitution import Constitution
from plumbrule.folders import held_folder
from plumbrule.judging import PromptSet
from plumbrule.ledger import Ledger, record_files
from plumbrule.models import EndpointModel, LanguageModel, probe
from plumbrule.records import to_json

Finding = tuple[str, str, Mapping[str, Any]]
"""Key, kind and content of an entry of the ledger."""


@contextmanager
def examined_folder(
    out: Path,
    verb: str,
    version: int,
    *,
    model: LanguageModel,
    law: Constitution,
    asked: Mapping[str, Any],
    judge: LanguageModel | Oracle,
    judging_prompts: PromptSet | None,
    settings: Any,
    named: Mapping[str, Any] | None = None,
) -> Iterator[list[Finding]]:
    """Hold a folder for one examination, its endpoints tried before; record it all at the end.

    Args:
        out: The folder; an examination that was interrupted there goes on.
        verb: Name of the examination: of its marker and of its entry in the ledger.
        version: Of the code.
        model: Who is examined.
        law: The principles.
        asked: Hash of what is asked, by its name.
        judge: A model, or an answer key.
        judging_prompts: What a model is asked in as judge.
        settings: Of the examination.
        named: What else decides it.

    Yields:
        Findings to add to, which are recorded where nothing fails.

    Raises:
        PlumbruleError: The folder holds other work, or an endpoint cannot be asked.
    """
    who = judge if isinstance(judge, LanguageModel) else None
    probe(*(each for each in (model, who) if isinstance(each, EndpointModel)))
    ours = {
        "version": version,
        "settings": to_json(settings),
        "named": {
            "model": model.identity,
            "constitution": law.sha256,
            **asked,
            "judge": who.identity if who else "answer key",
            "prompts": judging_prompts.sha256 if judging_prompts and who else None,
            **(named or {}),
        },
    }
    text = yaml.safe_dump(ours, sort_keys=False)
    findings: list[Finding] = []
    with held_folder(out, marker=f"{verb}.json", ours=ours, configuration=text):
        yield findings
        _record(out, [(f"{verb}/begin", verb, ours), *findings])


def _record(out: Path, entries: Sequence[Finding]) -> None:
    with Ledger.open(out / "ledger.db") as ledger:
        for key, kind, content in entries:
            ledger.record(key, kind, content)
        record_files(ledger, out)
