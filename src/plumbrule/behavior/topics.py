"""Topics of prompts: what they are about, as rules that can be checked on any new prompt.

Prompts are embedded (by the base model itself, or by a sentence encoder), alike ones are merged
step by step into a tree, and each branch of it that a rule can tell from the rest is a topic. The
rule is a ball: a prompt belongs if its embedding lies near enough to the topic's center. Topics are
named by the words that set them apart. Replies play no part, so that all prompts may be looked at.

Axes: P prompts, D dimensions of an embedding.
"""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.behavior.features import COMMON_WORDS, FUNCTION_WORDS
from plumbrule.behavior.subgroups import words_of
from plumbrule.errors import ModelError
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import Prompt, strict

LEAST_PROMPTS = 4
"""Prompts in a topic."""

MOST_SHARE = 0.6
"""Share of the prompts that a topic may hold: a larger one is no topic."""

LEAST_FIT = 0.65
"""Least F1 with which a rule must tell a branch of the tree from the rest."""

MOST_IN_TREE = 3000
"""Prompts that the tree is built of, by chance; the rules are applied to all."""

NAMED_BY = 3
"""Words in a topic's name."""

READ = 64
"""Tokens of each prompt that are embedded."""


@strict
@dataclass(frozen=True, kw_only=True)
class Topic:
    """What some prompts are about."""

    name: str
    """The words that set them apart, the most telling first."""

    center: tuple[float, ...]
    """Unit vector."""

    least: float
    """Least cosine with the center at which a prompt belongs."""

    def holds(self, embedding: Float[np.ndarray, " D"]) -> bool:
        """Whether a prompt with this embedding belongs."""
        return bool(np.dot(embedding, np.array(self.center)) >= self.least)


@dataclass(frozen=True, kw_only=True)
class Topics:
    """The topics of a pool."""

    topics: tuple[Topic, ...]
    embedded_by: str
    """What the embeddings come from, so that the rules can be applied to further prompts."""

    members: Bool[np.ndarray, "P T"]
    """Which prompt belongs to which topic."""

    def told(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts with their topics noted on them."""
        return [
            replace(
                prompt,
                topics=tuple(self.topics[at].name for at in np.flatnonzero(row).tolist()),
            )
            for prompt, row in zip(prompts, self.members, strict=True)
        ]


def find_topics(
    prompts: Sequence[Prompt],
    embeddings: Float[np.ndarray, "P D"],
    *,
    embedded_by: str,
    seed: int,
) -> Topics:
    """Find what prompts are about.

    Args:
        prompts: Prompts.
        embeddings: A unit vector each.
        embedded_by: What made them.
        seed: Decides which prompts the tree is built of, where there are very many.

    Returns:
        Topics of every size from a handful to more than half, none equal to another.

    Source:
        Ward's minimum-variance clustering (Ward 1963);
    """
    from scipy.cluster.hierarchy import linkage

    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(prompts))[:MOST_IN_TREE])
    if len(rows) < 2 * LEAST_PROMPTS:
        return Topics(
            topics=(), embedded_by=embedded_by, members=np.zeros((len(prompts), 0), dtype=bool)
        )
    some = embeddings[rows]
    branches: dict[int, list[int]] = {at: [at] for at in range(len(rows))}
    words = [_content_words(prompt) for prompt in prompts]
    background = Counter(word for each in words for word in each)
    names: dict[str, None] = {}
    topics: list[Topic] = []
    members: list[np.ndarray] = []
    merges = linkage(some, method="ward")
    for number, (left, right, *_) in enumerate(merges):
        branch = branches.pop(int(left)) + branches.pop(int(right))
        branches[len(rows) + number] = branch
        if not LEAST_PROMPTS <= len(branch) <= MOST_SHARE * len(rows):
            continue
        center, least, fit = _ball(some, branch)
        if fit < LEAST_FIT:
            continue
        inside = embeddings @ center >= least
        if not LEAST_PROMPTS <= inside.sum() <= MOST_SHARE * len(prompts) or any(
            (inside == other).all() for other in members
        ):
            continue
        name = _name(inside, words, background, names)
        if name is None:
            continue
        names[name] = None
        topics.append(Topic(name=name, center=tuple(center.tolist()), least=least))
        members.append(inside)
    table = np.stack(members, axis=1) if members else np.zeros((len(prompts), 0), dtype=bool)
    return Topics(topics=tuple(topics), embedded_by=embedded_by, members=table)


def embed(
    prompts: Sequence[Prompt], base: LanguageModel, *, encoder: Path | None = None
) -> tuple[Float[np.ndarray, "P D"], str]:
    """A unit vector for what each prompt's last user turn is about, and what made it.

    Args:
        prompts: Prompts.
        base: The base model: its own states are used where no encoder is given and its weights
            are at hand; else words, weighted by their rarity, in 64 dimensions.
        encoder: Folder of a sentence encoder in the Hugging Face layout, mean-pooled.

    Raises:
        ModelError: The encoder cannot be read.
    """
    texts = [prompt.dialogue[-1].content for prompt in prompts]
    if encoder is not None:
        return _normed(encode_texts(texts, encoder)), f"sentence encoder {encoder.name}"
    if isinstance(base, LocalModel):
        return _normed(_whitened(_states(base, texts))), f"middle layer of {base.spec}"
    return _normed(_rare_words(texts)), "words weighted by rarity"


def _ball(
    embeddings: Float[np.ndarray, "P D"], branch: Sequence[int]
) -> tuple[Float[np.ndarray, " D"], float, float]:
    """Center and least cosine of the ball that is most like a branch, and their F1."""
    center = embeddings[list(branch)].mean(0)
    center /= max(float(np.linalg.norm(center)), 1e-9)
    near = embeddings @ center
    wanted = np.zeros(len(embeddings), dtype=bool)
    wanted[list(branch)] = True
    order = np.argsort(-near, kind="stable")
    hits = np.cumsum(wanted[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + len(branch))
    best = int(f1.argmax())
    after = near[order[best + 1]] if best + 1 < len(order) else -1.0
    # Halfway to the first prompt outside, so that rounding on another machine changes nothing.
    return center, float((near[order[best]] + after) / 2), float(f1[best])


def _content_words(prompt: Prompt) -> frozenset[str]:
    return frozenset(
        word
        for word in words_of(prompt.dialogue[-1].content)
        if word not in FUNCTION_WORDS | COMMON_WORDS and len(word) > 2 and not word.isdigit()
    )


def _name(
    inside: Bool[np.ndarray, " P"],
    words: Sequence[frozenset[str]],
    background: Counter[str],
    taken: dict[str, None],
) -> str | None:
    """The words that set prompts apart; None where no word does."""
    here = Counter(word for at in np.flatnonzero(inside).tolist() for word in words[at])
    size, rest = int(inside.sum()), int((~inside).sum())

    def strength(word: str) -> float:
        """Share of the prompts that say it, times how much rarer it is elsewhere."""
        share, elsewhere = here[word] / size, (background[word] - here[word] + 0.5) / (rest + 1)
        return share * math.log(share / elsewhere)

    ranked = sorted((word for word in here if here[word] >= 2), key=lambda w: (-strength(w), w))
    for count in range(min(NAMED_BY, len(ranked)), len(ranked) + 1):
        if not 0 < count <= NAMED_BY + 4:
            return None
        name = ", ".join(ranked[:count])
        if name not in taken:
            return name
    return None


def _normed(vectors: Float[np.ndarray, "P D"]) -> Float[np.ndarray, "P D"]:
    rows: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    return rows


DROPPED = 2
"""Leading directions that are taken out of a model's states: they tell length and form."""


def _whitened(states: Float[np.ndarray, "P D"]) -> Float[np.ndarray, "P D"]:
    """States without what all share, each remaining direction of the first 64 of equal say.

    A language model's states lie in a narrow cone, and a few directions rule every cosine.
    """
    centered = states - states.mean(0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    kept = slice(DROPPED, min(DROPPED + 64, len(sizes)))
    flat: np.ndarray = left[:, kept] * np.sqrt(sizes[kept])
    return flat


def _rare_words(texts: Sequence[str]) -> Float[np.ndarray, "P D"]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, tokenizer=words_of, token_pattern=None, stop_words=list(FUNCTION_WORDS)
    )
    if len({word for text in texts for word in words_of(text)} - FUNCTION_WORDS) < 2:
        return np.zeros((len(texts), 2))  # nothing tells them apart
    table = vectorizer.fit_transform(texts)
    size = max(2, min(64, table.shape[1] - 1, table.shape[0] - 1))
    with np.errstate(divide="ignore", invalid="ignore"):  # prompts that are all alike vary by 0
        found: np.ndarray = TruncatedSVD(size, random_state=0).fit_transform(table)
    return found


def _states(model: LocalModel, texts: Sequence[str]) -> Float[np.ndarray, "P D"]:
    """Mean state of the middle layer over each text's tokens; later layers are not run."""
    import torch

    from plumbrule.models.modules import evaluation_mode
    from plumbrule.models.sampling import batches

    layers = _layers(model.module)
    end = model.tokenizer.eos_token_id or 0
    ids = [
        list(model.tokenizer(text, add_special_tokens=False)["input_ids"][:READ]) or [end]
        for text in texts
    ]
    device = next(model.module.parameters()).device
    caught: list[Any] = []

    class Enough(Exception):
        """Stops the pass once the middle layer has spoken."""

    def catch(_module: Any, _given: Any, output: Any) -> None:
        caught.append(output[0] if isinstance(output, tuple) else output)
        raise Enough

    states: list[Any] = [None] * len(ids)
    hook = layers[len(layers) // 2].register_forward_hook(catch)
    try:
        with evaluation_mode(model.module), torch.inference_mode():
            for batch in batches(
                [len(one) for one in ids], extra=0, rows=128, tokens=4096, equal=False
            ):
                width = max(len(ids[at]) for at in batch)
                rows = [ids[at] + [ids[at][-1]] * (width - len(ids[at])) for at in batch]
                with suppress(Enough):
                    model.module(input_ids=torch.tensor(rows, device=device), use_cache=False)
                output = caught.pop().float()
                for place, at in enumerate(batch):
                    states[at] = output[place, : len(ids[at])].mean(0).cpu().numpy()
                model.usage.tokens_scored += sum(len(ids[at]) for at in batch)
    finally:
        hook.remove()
    return np.stack(states).astype(np.float64)


def _layers(module: Any) -> Any:
    """The decoder's layers: the longest list of modules in it."""
    import torch

    lists = [each for each in module.modules() if isinstance(each, torch.nn.ModuleList)]
    if not lists:
        raise ModelError(
            f"expected a model made of layers, found none in {type(module).__name__}; give "
            "--embedder a folder with a sentence encoder"
        )
    return max(lists, key=len)


def encode_texts(texts: Sequence[str], folder: Path) -> Float[np.ndarray, "P D"]:
    """A row of numbers for each text, by a sentence encoder in the Hugging Face layout.

    Args:
        texts: Texts, of which the first 128 tokens are read.
        folder: Of the encoder; its last states are averaged over the tokens.

    Raises:
        ModelError: The encoder cannot be read.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        module = AutoModel.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        ).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"expected a folder with a sentence encoder (config.json, model.safetensors, "
            f"tokenizer.json) in {folder}: {error}"
        ) from error
    module.eval()
    found = []
    with torch.inference_mode():
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # little padding
        for at in range(0, len(texts), 64):
            given = tokenizer(
                [texts[row] for row in order[at : at + 64]],
                padding=True,
                truncation=True,
                max_length=128,
                return_tensors="pt",
            )
            states = module(**given).last_hidden_state
            mask = given["attention_mask"][..., None].to(states)
            found.append(((states * mask).sum(1) / mask.sum(1).clamp(min=1)).double().numpy())
    embedded: np.ndarray = np.concatenate(found)[np.argsort(order)]
    return embedded
