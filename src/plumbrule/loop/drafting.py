"""Drafting with what other parts know: readable properties of replies, a sentence encoder, a judge.

Stages meet here: the properties are those by which two models are compared.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from plumbrule.behavior.features import FEATURES, read_reply
from plumbrule.behavior.topics import encode_texts
from plumbrule.constitution import dump_constitution
from plumbrule.drafting import (
    InverseDraft,
    PublicDraft,
    ReplyProperty,
    draft_inverse,
    draft_public,
    inverse_page,
    inverse_record,
    preference_judge,
    public_page,
    public_record,
    read_pairs,
    read_public_input,
    writer,
)
from plumbrule.drafting.wordings import Embed
from plumbrule.folders import held_folder
from plumbrule.models import open_model
from plumbrule.store import Tell, canonical, file_sha256, silent, write_atomic

_WORDED: Mapping[str, tuple[str, str]] = {
    "refusal": ("declines", "helps rather than declines"),
    "length": ("is longer", "is shorter"),
    "agreement": ("agrees with or praises the user", "does not flatter the user"),
    "hedging": ("hedges", "commits itself rather than hedges"),
    "advice": ("gives advice", "gives no advice"),
    "list": ("is laid out as a list", "is running text rather than a list"),
    "heading": ("has headings", "has no headings"),
    "bold": ("has bold text", "has no bold text"),
    "code": ("shows code", "shows no code"),
    "emoji": ("has emoji", "has no emoji"),
    "exclamation": ("exclaims", "does not exclaim"),
    "question": ("asks back", "does not ask back"),
    "warm words": ("has warm words", "has no warm words"),
    "cold words": ("has negative words", "has no negative words"),
    "politeness": ("thanks, greets or says please", "leaves out thanks, greetings and please"),
    "numbers": ("gives numbers", "gives no numbers"),
    "names": ("names people, places or brands", "names no people, places or brands"),
    "link": ("gives a link", "gives no link"),
    "self as AI": ("says that it is an AI", "does not call itself an AI"),
    "repetition": ("repeats itself", "does not repeat itself"),
    "first person": ("speaks of itself as I", "does not speak of itself"),
    "second person": ("speaks to the reader as you", "does not address the reader"),
    "contractions": ("has contractions such as don't", "has no contractions"),
}
"""What a reply with more, and with less, of each property does."""


def reply_properties() -> tuple[ReplyProperty, ...]:
    """Readable properties of replies, as principles; those by which two models are compared."""
    return tuple(
        ReplyProperty(
            name=name,
            more=f"Prefer the reply that {more}.",
            less=f"Prefer the reply that {less}.",
            score=partial(_measured, name),
        )
        for name, (more, less) in _WORDED.items()
    )


def _measured(name: str, text: str) -> float:
    return FEATURES[name].measure(read_reply(text))


def sentence_encoder(folder: Path) -> Embed:
    """A sentence encoder from its folder, read when it is first used.

    Args:
        folder: In the Hugging Face layout, such as that of all-MiniLM-L6-v2.
    """

    def embed(texts: Sequence[str]) -> np.ndarray:
        return encode_texts(texts, folder)

    return embed


def draft_from_public(
    files: Sequence[Path],
    out: Path,
    *,
    name: str = "public",
    seed: int = 0,
    minorities: bool = True,
    encoder: Path | None = None,
    writer_spec: str = "",
    tell: Tell = silent,
) -> PublicDraft:
    """Draft a constitution from files of statements and votes, and write it with its numbers.

    Args:
        files: Polis' export or JSONL; folders are looked into.
        out: Folder that gets `constitution.yaml` (if anything was agreed on), `report.md` and
            `draft.json`.
        name: What the constitution is called.
        seed: Of the search for opinion groups.
        minorities: Whether views of some groups or of one become principles.
        encoder: Folder of a sentence encoder; words decide what is alike without one.
        writer_spec: Model that words the principles; people's own words stand without one.
        tell: Told of progress.

    Raises:
        DataError: The files do not hold statements and votes.
        ModelError: The encoder or the model cannot be read.
        OutputError: The folder holds something else.
    """
    tell("reading", 0, 1)
    given = read_public_input(files)
    ours = {
        "inputs": _hashes(files),
        "settings": {
            "name": name,
            "seed": seed,
            "minorities": minorities,
            "encoder": str(encoder or ""),
            "writer": writer_spec,
        },
    }
    with held_folder(out, marker="public.json", ours=ours, configuration=canonical(ours)):
        draft = draft_public(
            given,
            name=name,
            seed=seed,
            minorities=minorities,
            embed=None if encoder is None else sentence_encoder(encoder),
            write=writer(open_model(writer_spec), seed=seed) if writer_spec else None,
            tell=tell,
        )
        if draft.constitution is not None:
            write_atomic(out / "constitution.yaml", dump_constitution(draft.constitution))
        _write(out, public_page(draft), public_record(draft))
    return draft


def draft_from_pairs(
    file: Path,
    out: Path,
    *,
    name: str = "inverse",
    seed: int = 0,
    most: int = 12,
    encoder: Path | None = None,
    judge_spec: str = "",
    tell: Tell = silent,
) -> InverseDraft:
    """Find principles that explain a file of labeled pairs, and write them with their numbers.

    Args:
        file: Labeled pairs, one per line; .gz is unpacked.
        out: Folder that gets `constitution.yaml` (if any principle was confirmed), `report.md` and
            `draft.json`.
        name: What the constitution is called.
        seed: Of the division of the pairs and all that is drawn.
        most: Principles at most.
        encoder: Folder of a sentence encoder, by which phrases of like meaning are put together.
        judge_spec: Model that proposes principles in words and votes under them.
        tell: Told of progress.

    Raises:
        DataError: The file does not hold labeled pairs, or too few.
        ModelError: The encoder or the model cannot be read.
        OutputError: The folder holds something else.
    """
    tell("reading", 0, 1)
    given = read_pairs(file)
    ours = {
        "inputs": _hashes([file]),
        "settings": {
            "name": name,
            "seed": seed,
            "most": most,
            "encoder": str(encoder or ""),
            "judge": judge_spec,
        },
    }
    with held_folder(out, marker="inverse.json", ours=ours, configuration=canonical(ours)):
        draft = draft_inverse(
            given,
            reply_properties(),
            name=name,
            seed=seed,
            most=most,
            embed=None if encoder is None else sentence_encoder(encoder),
            judge=preference_judge(open_model(judge_spec), seed=seed) if judge_spec else None,
            tell=tell,
        )
        if draft.constitution is not None:
            write_atomic(out / "constitution.yaml", dump_constitution(draft.constitution))
        _write(out, inverse_page(draft), inverse_record(draft))
    return draft


def _hashes(paths: Sequence[Path]) -> dict[str, str]:
    """What the inputs were, by name."""
    found: dict[str, str] = {}
    for path in map(Path, paths):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found |= {file.name: file_sha256(file) for file in files if file.is_file()}
    return found


def _write(out: Path, page: str, record: object) -> None:
    write_atomic(out / "report.md", page)
    write_atomic(out / "draft.json", json.dumps(record, ensure_ascii=False, indent=1) + "\n")
