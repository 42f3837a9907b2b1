"""Reward models on what people preferred: how often they order two real replies as people did.

`python -m benchmarks.training_rewards [--quick] [--part states] [--pairs N] --json FILE`

The pairs are those of people who were asked which of two replies is more harmless. Each way scores
a reply by a linear function of what it sees, fitted by logistic regression on the difference of
both replies, so that it can have no preference for a side. All ways are cross-validated on the same
folds; pairs of one conversation never stand on both sides.

    words     readable features: length, refusals, questions, hedges, and the like
    bag       words and pairs of words
    states    frozen hidden states of SmolLM2, last token and mean, at three depths
    both      readable features, bag and states together

Axes: differences are (pairs, features), accuracies (repetitions x folds).

Source:
    Bai et al. (2022), "Training a Helpful and Harmless Assistant", arXiv:2204.05862: the pairs.
    Nadeau and Bengio (2003), "Inference for the Generalization Error", Machine Learning 52: the
    variance of a cross-validated mean.
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse, stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from benchmarks.real_ground import DATA, model_path, normalized, why_absent
from benchmarks.rows import Row, estimated, show, single, with_earlier
from plumbrule.records import Estimate

FILE = DATA / "hh_rlhf_harmless_test.jsonl.gz"
CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks" / "training_rewards"

FOLDS, REPETITIONS, LEVEL = 5, 5, 0.95
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the penalty, of which each training fold picks one by its own folds."""

LAYERS = (8, 14, 20)
"""Blocks of SmolLM2's 30 after which hidden states are read; what lies above is not computed."""

PROMPT_TOKENS, REPLY_TOKENS = 96, 96
"""Of a longer dialogue the last, of a longer reply the first tokens are read."""

SHARD = 50


@dataclass(frozen=True, kw_only=True)
class HumanPair:
    """Two replies, of which people chose one."""

    prompt: str
    first: str
    second: str
    first_chosen: bool
    conversation: str
    """Same for pairs that begin with the same words of the user."""


@dataclass(frozen=True, kw_only=True)
class LoadedPairs:
    """The pairs in an order drawn by chance, and why some were left out."""

    pairs: tuple[HumanPair, ...]
    read: int
    same_replies: int
    other_prompts: int


def human_pairs(path: Path = FILE) -> LoadedPairs:
    """Read the pairs; which reply stands first is drawn by chance, the same every time."""
    found, same, other, read = [], 0, 0, 0
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row, read = json.loads(line), read + 1
            prompt, _, chosen = row["chosen"].rpartition("\n\nAssistant:")
            beside, _, rejected = row["rejected"].rpartition("\n\nAssistant:")
            if prompt != beside:
                other += 1
            elif chosen.strip() == rejected.strip():
                same += 1
            else:
                chance = int(hashlib.sha256(line.encode()).hexdigest()[:8], 16)
                replies = (chosen.strip(), rejected.strip())
                first_chosen = chance % 2 == 0
                begin = re.match(r"\s*Human: ?(.*?)(?:\n\nAssistant:|$)", prompt, re.DOTALL)
                found.append(
                    HumanPair(
                        prompt=prompt,
                        first=replies[0 if first_chosen else 1],
                        second=replies[1 if first_chosen else 0],
                        first_chosen=first_chosen,
                        conversation=normalized(begin[1] if begin else prompt),
                    )
                )
    order = np.random.default_rng(0).permutation(len(found))
    return LoadedPairs(
        pairs=tuple(found[index] for index in order),
        read=read,
        same_replies=same,
        other_prompts=other,
    )


def texts_of(pair: HumanPair) -> list[tuple[str, str]]:
    """Role and content of the prompt's turns."""
    parts = re.split(r"\n\n(Human|Assistant): ?", "\n\n" + pair.prompt.strip())
    roles = {"Human": "user", "Assistant": "assistant"}
    return [(roles[role], text) for role, text in zip(parts[1::2], parts[2::2], strict=True)]


# What the ways see


_COUNTED = {
    "questions": r"\?",
    "exclamations": r"!",
    "sentences": r"[.!?]+(?:\s|$)",
    "lines": r"\n",
    "list items": r"(?m)^\s*(?:\d+[.)]|[-*•])\s",
    "digits": r"\d",
    "quotes": r"[\"“”]",
    "links": r"https?://|www\.",
    "first person": r"\b(?:i|i'm|me|my)\b",
    "second person": r"\b(?:you|your|you're)\b",
    "apologies": r"\b(?:sorry|apologi[sz]e|apologies)\b",
    "refusals": r"\b(?:can't|cannot|won't|unable|not able|not comfortable|refuse)\b",
    "advice": r"\b(?:should|would recommend|suggest|try|consider)\b",
    "hedges": r"\b(?:maybe|perhaps|might|probably|not sure|i think|could be|i don't know)\b",
    "negations": r"\b(?:no|not|never|don't|isn't)\b",
    "law and harm": r"\b(?:illegal|crime|police|law|harm\w*|danger\w*|hurt\w*|wrong|unethical)\b",
    "help lines": r"\b(?:therapist|counsel\w*|doctor|professional|hotline|lawyer)\b",
    "agreement": r"^(?:yes|sure|of course|okay|ok|great|absolutely|that's right)\b",
    "insults": r"\b(?:stupid|idiot\w*|dumb|ugly|bitch\w*|ass|asshole\w*|fuck\w*|shit\w*|kill\w*)\b",
    "groups": r"\b(?:black|white|jew\w*|muslim\w*|gay\w*|women|men|mexican\w*|asian\w*)\b",
    "explains": r"\b(?:because|since|therefore|so that|in order to)\b",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _COUNTED.items()}
FEATURES = ("words", "log words", "mean word", "echo", *_COUNTED)


def readable(prompt: str, reply: str) -> list[float]:
    """Features of one reply that a reader can check, as `FEATURES` names them."""
    reply = reply.replace("\u2019", "'")
    words = re.findall(r"[\w']+", reply.lower())
    asked = set(re.findall(r"[\w']{4,}", prompt.lower().rpartition("human:")[2]))
    return [
        float(len(words)),
        float(np.log1p(len(words))),
        float(np.mean([len(word) for word in words])) if words else 0.0,
        len(asked & set(words)) / max(len(asked), 1),
        *(float(np.log1p(len(pattern.findall(reply)))) for pattern in _PATTERNS.values()),
    ]


def readable_differences(pairs: Sequence[HumanPair]) -> Float[np.ndarray, "pairs features"]:
    """Readable features of the first reply less those of the second."""
    return np.array(
        [
            np.subtract(readable(pair.prompt, pair.first), readable(pair.prompt, pair.second))
            for pair in pairs
        ]
    )


def state_differences(
    pairs: Sequence[HumanPair], folder: Path, tell: bool = False
) -> Float[np.ndarray, "pairs features"]:
    """Hidden states of the first reply less those of the second, from shards or computed.

    Of each reply the state of its last token and the mean over its tokens, at each of `LAYERS`.
    A shard that lies in the folder is read; a run that was interrupted goes on with the next.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts, reader = [], None
    for at in range(0, len(pairs), SHARD):
        shard = pairs[at : at + SHARD]
        path = folder / f"{_name(shard)}.npy"
        if not path.exists():
            reader = reader or _StateReader()
            started = time.monotonic()
            found = np.stack([reader.difference(pair) for pair in shard]).astype(np.float32)
            whole = path.with_suffix(".part.npy")
            np.save(whole, found)
            os.replace(whole, path)
            if tell:
                done = f"{at + len(shard)} of {len(pairs)} pairs"
                print(f"{done}, {time.monotonic() - started:.0f} s the last {SHARD}", flush=True)
        parts.append(np.load(path))
    return np.concatenate(parts)


def _name(shard: Sequence[HumanPair]) -> str:
    """Name of a shard: hash of its pairs and of how they are read."""
    given = [
        "bfloat16",
        LAYERS,
        PROMPT_TOKENS,
        REPLY_TOKENS,
        [[p.prompt, p.first, p.second] for p in shard],
    ]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:16]


class _StateReader:
    """SmolLM2 up to the highest of the layers; a pair's prompt is computed once."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.set_num_threads(1)
        folder = model_path("smollm2")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        # Rounding to 8 bits is far below what tells two replies apart, and takes half the time.
        self.model = AutoModel.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.model.layers = self.model.layers[: max(LAYERS)]
        self.model.config.num_hidden_layers = max(LAYERS)
        self.model.norm = torch.nn.Identity()  # states are read as the blocks leave them

    def difference(self, pair: HumanPair) -> Float[np.ndarray, " features"]:
        """States of the first less states of the second."""
        import torch

        turns = "".join(
            f"<|im_start|>{role}\n{text.strip()}<|im_end|>\n" for role, text in texts_of(pair)
        )
        asked = self._ids(turns + "<|im_start|>assistant\n")[-PROMPT_TOKENS:]
        replies = [self._ids(text + "<|im_end|>") for text in (pair.first, pair.second)]
        replies = [ids if len(ids) <= REPLY_TOKENS else ids[:REPLY_TOKENS] for ids in replies]
        with torch.inference_mode():
            cache = self.model(torch.tensor([asked]), use_cache=True).past_key_values
            cache.batch_repeat_interleave(2)
            longest = max(map(len, replies))
            pad = int(self.tokenizer.pad_token_id)
            ids = torch.tensor([one + [pad] * (longest - len(one)) for one in replies])
            # Padding stands behind all that is read, and attention looks back only.
            mask = torch.ones(2, len(asked) + longest, dtype=torch.long)
            for row, one in enumerate(replies):
                mask[row, len(asked) + len(one) :] = 0
            states = self.model(
                ids, attention_mask=mask, past_key_values=cache, output_hidden_states=True
            ).hidden_states
        seen = [
            np.concatenate(
                [
                    part.float().numpy()
                    for layer in LAYERS
                    for part in (
                        states[layer][row, len(one) - 1],
                        states[layer][row, : len(one)].float().mean(0),
                    )
                ]
            )
            for row, one in enumerate(replies)
        ]
        return np.asarray(seen[0] - seen[1])

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


# Cross-validation

Indices = Int[np.ndarray, " chosen"]
Matrix = Any
"""Dense or sparse, (pairs, features)."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """What a reward model sees of a pair; `bag` depends on the pairs that it is fitted on."""

    dense: Float[np.ndarray, "pairs features"] | None = None
    bag: bool = False


def folds(
    pairs: Sequence[HumanPair], repetitions: int = REPETITIONS
) -> Iterator[tuple[Indices, Indices]]:
    """Pairs to fit on and to test on; those of one conversation stand on one side."""
    names = [pair.conversation for pair in pairs]
    for seed in range(repetitions):
        yield from GroupKFold(FOLDS, shuffle=True, random_state=seed).split(names, groups=names)


def accuracies(
    way: Way,
    pairs: Sequence[HumanPair],
    *,
    repetitions: int = REPETITIONS,
    strengths: Sequence[float] = STRENGTHS,
) -> Float[np.ndarray, " folds"]:
    """Share of the tested pairs that are ordered as people did, of each fold.

    Args:
        way: What is seen.
        pairs: All pairs; rows of `way` are theirs.
        repetitions: Times all pairs are cut into folds.
        strengths: Inverse strengths of the penalty to pick from, by folds of the training pairs.
    """
    labels = np.array([pair.first_chosen for pair in pairs])
    names = np.array([pair.conversation for pair in pairs])
    found = []
    for train, test in folds(pairs, repetitions):
        seen = _seen(way, pairs, train)
        best = strengths[0]
        if len(strengths) > 1:
            inner = [
                (train[fit], train[check])
                for fit, check in GroupKFold(3).split(train, groups=names[train])
            ]
            hits = [
                np.mean([_hits(seen, labels, fit, check, one).mean() for fit, check in inner])
                for one in strengths
            ]
            best = strengths[int(np.argmax(hits))]
        found.append(_hits(seen, labels, train, test, best).mean())
    return np.array(found)


def simple_accuracies(
    says_first: Float[np.ndarray, " pairs"], pairs: Sequence[HumanPair]
) -> Float[np.ndarray, " folds"]:
    """The same for a rule that needs no fitting: 1 for the first reply, 0 for the second."""
    labels = np.array([pair.first_chosen for pair in pairs])
    hits = np.where(labels, says_first, 1 - says_first)
    return np.array([hits[test].mean() for _, test in folds(pairs)])


def longer(pairs: Sequence[HumanPair]) -> Float[np.ndarray, " pairs"]:
    """1 where the first reply has more words, 0.5 where both have as many."""
    lengths = np.array([[len(pair.first.split()), len(pair.second.split())] for pair in pairs])
    return np.asarray((np.sign(lengths[:, 0] - lengths[:, 1]) + 1) / 2)


def corrected(found: Float[np.ndarray, " folds"], pairs: int, unit: str = "share") -> Estimate:
    """Mean over folds with an interval that allows for training sets that overlap.

    The variance of the mean over J folds is (1/J + 1/(K - 1)) times the variance between folds,
    for K folds a repetition, in place of 1/J.
    """
    runs = len(found)
    spread = float(found.std(ddof=1)) * (1 / runs + 1 / (FOLDS - 1)) ** 0.5
    half = float(stats.t.isf((1 - LEVEL) / 2, runs - 1)) * spread
    middle = float(found.mean())
    return Estimate(
        value=middle,
        low=middle - half,
        high=middle + half,
        level=LEVEL,
        n=pairs,
        unit=unit,
        method="Nadeau-Bengio corrected t over folds",
    )


def _seen(way: Way, pairs: Sequence[HumanPair], train: Indices) -> Matrix:
    """Differences of all pairs, each feature in units of its root mean square in training."""
    parts = []
    if way.dense is not None:
        root = np.sqrt((way.dense[train] ** 2).mean(axis=0))
        parts.append(sparse.csr_matrix(way.dense / np.where(root == 0, 1, root)))
    if way.bag:
        reader = CountVectorizer(ngram_range=(1, 2), min_df=8, binary=True)
        reader.fit([text for at in train for text in (pairs[at].first, pairs[at].second)])
        first = reader.transform([pair.first for pair in pairs])
        parts.append(first.astype(float) - reader.transform([pair.second for pair in pairs]))
    both = sparse.hstack(parts).tocsr()
    return both.toarray() if not way.bag else both


def _hits(
    seen: Matrix, labels: np.ndarray, fit: Indices, check: Indices, strength: float
) -> np.ndarray:
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=300, tol=1e-3)
    model.fit(seen[fit], labels[fit])
    return np.asarray(model.predict(seen[check]) == labels[check])


# Rows


def rows(parts: Sequence[str], most: int | None, folder: Path = CACHE) -> list[Row]:
    """Measure the ways on the same folds."""
    loaded = human_pairs()
    pairs = loaded.pairs[:most]
    number = len(pairs)
    dense = {"words": readable_differences(pairs)}
    ways = {"words": Way(dense=dense["words"]), "bag": Way(bag=True)}
    if {"states", "both"} & set(parts):
        dense["states"] = state_differences(pairs, folder, tell=True)
        ways["states"] = Way(dense=dense["states"])
        ways["both"] = Way(dense=np.hstack([dense["words"], dense["states"]]), bag=True)
    by_length = simple_accuracies(longer(pairs), pairs)
    simple = {
        "always the first": simple_accuracies(np.ones(number), pairs),
        "the longer one": by_length,
        "the shorter one": 1 - by_length,
    }
    found = [
        single("pairs of the file", loaded.read, unit="pairs", n=loaded.read),
        single("pairs left out: prompts differ", loaded.other_prompts, unit="pairs", n=loaded.read),
        single(
            "conversations",
            len({pair.conversation for pair in pairs}),
            unit="conversations of the measured pairs",
            n=number,
        ),
    ]
    seeds = range(REPETITIONS)
    for name, got in simple.items():
        found.append(
            estimated(f"accuracy: {name}", corrected(got, number), seeds=seeds, unit="share")
        )
    for name in [part for part in ways if part in parts]:
        print(f"fitting {name}", flush=True)
        got = accuracies(ways[name], pairs)
        beside = max((by_length, 1 - by_length), key=lambda one: float(one.mean()))
        gain = corrected(got - beside, number)
        found += [
            estimated(f"accuracy: {TITLES[name]}", corrected(got, number), seeds=seeds),
            estimated(
                f"{TITLES[name]}, gain over the better rule on length",
                gain,
                seeds=seeds,
                target="interval above 0",
                met=gain.low > 0,
            ),
        ]
    return found


TITLES: Mapping[str, str] = {
    "words": "readable features",
    "bag": "words and pairs of words",
    "states": "hidden states of SmolLM2",
    "both": "all three together",
}


def main(given: Sequence[str] | None = None) -> None:
    """Measure the reward models."""
    reader = argparse.ArgumentParser(description="Reward models on the human pairs.")
    reader.add_argument("--quick", action="store_true", help="400 pairs, without SmolLM2")
    reader.add_argument("--part", action="append", choices=list(TITLES))
    reader.add_argument("--pairs", type=int, help="the first so many in the drawn order")
    reader.add_argument("--json", type=Path)
    told = reader.parse_args(given)
    if not FILE.exists():
        raise SystemExit(f"the pairs are not at {FILE}")
    parts = told.part or list(TITLES)
    absent = why_absent("smollm2")
    if (absent or told.quick) and {"states", "both"} & set(parts):
        print(f"without SmolLM2: {absent or 'quick'}")
        parts = [part for part in parts if part not in ("states", "both")]
    got = rows(parts, 400 if told.quick else told.pairs)
    show(
        "Reward models on human pairs",
        with_earlier(got, told.json) if told.part else got,
        told.json,
    )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
