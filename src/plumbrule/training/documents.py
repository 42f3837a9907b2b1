"""Plain text as training material: documents, and those that a constitution itself makes.

Documents about the rules, learned before demonstrations of them, teach what the demonstrations are
demonstrations of.

Source: "Model Spec Midtraining" (2026), arXiv:2605.02087: documents about a specification before
demonstrations, and that reasons behind rules carry further than rules. Ours are made from the
constitution's own words, by no model.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import DataError
from plumbrule.records import strict
from plumbrule.store import derive_seed
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.results import TrainingProgress, TrainingResult
from plumbrule.training.settings import DocumentTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude
from plumbrule.training.weighting import weighed, weights_by_token


@strict
@dataclass(frozen=True, kw_only=True)
class Document:
    """A text to be learned as it is, from its first token to its last."""

    id: str
    text: str

    weight: float = 1.0
    """What it counts for beside the others; 0: nothing."""


def train_documents(
    model: Path,
    documents: Sequence[Document],
    *,
    settings: DocumentTraining,
    out: Path,
    seed: int,
    progress: TrainingProgress | None = None,
) -> TrainingResult:
    """Train a model on plain text, as it was before it was taught to reply.

    The loss is the mean negative log-likelihood of all tokens but a document's first, the token
    that ends a text included. A document longer than a window is cut into several, each of which
    begins with the last token of the one before, so that each token is learned once. Text that
    spells a control token is broken up. Each token counts by its document's weight, which is 1 on
    average over all tokens; documents that weigh 0 are left out.

    Args:
        model: Folder of the starting model, or of a PEFT adapter on one.
        documents: What to learn.
        settings: How to train; a batch is so many windows.
        out: Folder of the trained model; absent, or finished by the same call before.
        seed: Decides the order of the windows and all that is drawn at random.
        progress: Told at each point of the curve.

    Returns:
        Where the model is, and how training went; its examples are documents.

    Raises:
        DataError: There is no document, or one is empty, or has a weight below 0; or all weigh 0.
        ConfigError: Training diverged, or an adapter does not fit the settings.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.
    """
    if not documents:
        raise DataError("expected at least one document to learn from, got none")
    empty = [each.id for each in documents if not each.text.strip()]
    if empty:
        raise DataError(f"expected documents with text, {empty[0]!r} is empty; leave it out")
    kept, counts = weighed(documents, [each.weight for each in documents])
    data: list[Any] = [each.text for each in kept]
    if len(set(counts)) > 1:
        data.append(counts)
    job = TrainingJob(
        model=model,
        out=out,
        settings=settings,
        seed=seed,
        examples=len(kept),
        skipped=len(documents) - len(kept),
        progress=progress,
    )

    def work(space: TrainingWorkspace) -> TrainingResult:
        from plumbrule.training.loading import load_for_training
        from plumbrule.training.running import batches_of
        from plumbrule.training.tokenized_data import windows
        from plumbrule.training.trl import supervised_trainer

        start = load_for_training(model, settings, space)
        most = min(settings.max_tokens, start.context or settings.max_tokens)
        encoded, of = windows(start.chat, [each.text for each in kept], most)
        # The first token of a document is read and not learned.
        learned = [len(one.reply) - (not one.prompt) for one in encoded]
        lengths = [len(one) for one in encoded]
        batches = batches_of(settings, lengths, seed=seed)
        weights = weights_by_token([counts[number] for number in of], learned)
        trainer = supervised_trainer(
            start, encoded, settings, batches, space, weights=weights, seed=seed
        )
        return conclude(job, space, start, trainer, batches, lengths=lengths)

    return carry_out(job, data, work)


def spec_documents(constitution: Constitution, *, copies: int = 1, seed: int = 0) -> list[Document]:
    """Plain documents about a constitution: its rules, their conditions, reasons and worked cases.

    Every sentence is the constitution's own or says where one comes from.

    Args:
        constitution: What they are about.
        copies: Times that the whole is written, each in an order of its own.
        seed: Decides the orders.

    Returns:
        One document a principle, one a worked example and one of the whole, in each copy.

    Raises:
        DataError: `copies` is less than 1.
    """
    if copies < 1:
        raise DataError(f"expected at least one copy of the documents, got {copies}")
    found: list[Document] = []
    for copy in range(copies):
        texts = [("whole", _whole(constitution))]
        for principle in constitution.principles:
            texts += [(f"{principle.id}-{n}", text) for n, text in enumerate(_about(principle))]
        random.Random(derive_seed(seed, "spec", copy)).shuffle(texts)
        found += [
            Document(id=f"spec-{copy}-{name}", text=text) for name, text in texts if text.strip()
        ]
    return found


def _whole(constitution: Constitution) -> str:
    """The constitution as running text, what decides first on top."""
    parts = [constitution.name, constitution.description]
    for tier, principles in constitution.by_tier():
        rules = "\n".join(f"- {each.statement()}" for each in principles)
        parts.append(f"{constitution.tier_name(tier)}\n\n{rules}")
    return "\n\n".join(part for part in parts if part.strip())


def _about(principle: Principle) -> Iterator[str]:
    """Documents about one rule."""
    reason = f" It rests on this: {principle.source.strip()}." if principle.source.strip() else ""
    yield f"{principle.statement()}{reason}"
    for one in principle.critique_examples:
        yield (
            f"The rule: {principle.text}\n\nSomeone said: {one.request}\n\nOne answer was: "
            f"{one.reply}\n\nWhat is wrong with it: {one.critique}\n\nA better answer: "
            f"{one.revision}"
        )
    for case in principle.counterfactuals:
        yield (
            f"The rule: {principle.text}\n\nThe answer «{case.reply}» breaks it where someone "
            f"says: {case.breaks}\n\nThe same answer keeps it where someone says: {case.keeps}"
        )
