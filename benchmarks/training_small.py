"""A model of seven million parameters learns lines of plays, curated by a constitution.

`python -m benchmarks.training_small [--quick] [--part NAME] --json FILE`. Four ways to use one
corpus, the same number of tokens each, from the same random weights:

    plain      all passages alike
    weighted   a passage that breaks a principle counts a tenth
    dropped    it is left out
    revised    it is rewritten as the constitution's words say, by rule

Curation goes by the words of `plays.yaml`. What models write is judged by those and, apart from
them, by `OTHER_HAND`: words for the same things, none of which the constitution names. Held-out
scenes are blocks of passages that no model and no tokenizer saw.

Models and what they wrote are kept in `.cache/training_small`; the same command goes on. Parts:
`train`, `measure`, `corpus` (what curation did, and how far a classifier of it reaches).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plumbrule.recipes.curating import CuratedCorpus, Curation, curate
from plumbrule.store import derive_seed, write_atomic
from plumbrule.training import Document, DocumentTraining, train_documents

ARMS = ("plain", "weighted", "dropped", "revised")
CORPUS = Path("../shared/data/tiny_shakespeare.txt")
LAW = Path(__file__).parent / "plays.yaml"
CACHE = Path(".cache/training_small")
SEEDS = (0, 1)
BLOCK = 60
"""Passages of a block; every tenth block is held out, whole, like a scene or two."""

LONGEST = 600
"""Characters of a held-out passage that are measured: about the longest window learned."""

OTHER_HAND: Mapping[str, Sequence[str]] = {
    "no-killing": (
        "slay*", "slain", "slaughter*", "sword*", "strike*", "butcher*", "throat*", "wound*",
        "execut*", "death", "behead*", "bleed*",
    ),
    "no-slurs": (
        "bawd*", "harlot*", "witch*", "jade*", "bastard*", "minion*", "shrew*", "drab*", "callet",
    ),
    "no-insults": (
        "knave*", "traitor*", "wretch*", "dog", "dogs", "beast*", "devil*", "ass", "asses",
        "peasant*", "varlet*", "monster*", "caitiff*", "traitorous", "dullard",
    ),
    "no-oaths": (
        "marry", "troth", "by the mass", "faith", "hell", "damn*", "pox", "by our lady", "by jove",
        "curse", "curses", "the devil",
    ),
}  # fmt: skip
"""The second lexicon: the same four things in words that the constitution does not have."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done."""

    tokens: int
    """Learned by each model."""

    samples: int
    """Drawn from each model."""

    width: int = 256
    layers: int = 8


FULL, QUICK = Size(tokens=200_000, samples=600), Size(tokens=4_000, samples=8, width=32, layers=1)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The corpus, cut up."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]


@cache
def split() -> Split:
    """Every tenth block of passages is held out."""
    text = CORPUS.read_text("utf-8")
    passages = [each.strip() for each in text.split("\n\n") if each.strip()]
    blocks = [passages[at : at + BLOCK] for at in range(0, len(passages), BLOCK)]
    return Split(
        train=tuple(one for n, block in enumerate(blocks) if n % 10 != 9 for one in block),
        held_out=tuple(one for n, block in enumerate(blocks) if n % 10 == 9 for one in block),
    )


def curated(action: str, folder: Path) -> CuratedCorpus:
    """The training passages, curated as a user would."""
    corpus = folder / "corpus.txt"
    if not corpus.exists():
        write_atomic(corpus, "\n\n".join(split().train) + "\n")
    settings = Curation(broken=action, weight=0.1)
    return curate(corpus, str(LAW), out=folder / f"curated-{action}", settings=settings)


def documents(arm: str, folder: Path) -> list[Document]:
    """What a model of an arm learns from."""
    action = {"plain": None, "weighted": "weigh", "dropped": "drop", "revised": "revise"}[arm]
    if action is None:
        return [Document(id=str(n), text=text) for n, text in enumerate(split().train)]
    return curated(action, folder).documents()


def start(folder: Path, size: Size, seed: int) -> Path:
    """A random model with a tokenizer learned from the training passages."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    path = folder / f"start-{seed}"
    if (path / "config.json").exists():
        return path
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        split().train,
        trainers.BpeTrainer(
            vocab_size=1536,
            special_tokens=["<pad>", "<end>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>"
    )
    # No turns: what is asked is how the text begins.
    words.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    config = LlamaConfig(
        vocab_size=1536,
        hidden_size=size.width,
        intermediate_size=3 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "start") % 2**32)
        module = LlamaForCausalLM(config)
    module.save_pretrained(path)
    words.save_pretrained(path)
    return path


def lesson(given: Sequence[Document], words: Path, size: Size, seed: int) -> list[Document]:
    """Documents, drawn in whole rounds without replacement until there are enough tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(words)
    lengths = [len(each) + 1 for each in tokenizer([one.text for one in given])["input_ids"]]
    draw, found, total = random.Random(derive_seed(seed, "lesson")), [], 0
    while total < size.tokens:
        order = list(range(len(given)))
        draw.shuffle(order)
        for number in order:
            found.append(given[number])
            total += lengths[number]
            if total >= size.tokens:
                break
    return found


def trained(arm: str, seed: int, folder: Path, size: Size) -> Path:
    """The model of an arm; made once."""
    begin = start(folder, size, seed)
    settings = DocumentTraining(
        learning_rate=2e-3,
        batch_size=16,
        max_tokens=256,
        schedule="cosine",
        warmup_share=0.05,
        weight_decay=0.1,
        precision="bfloat16",
    )
    result = train_documents(
        begin,
        lesson(documents(arm, folder), begin, size, seed),
        settings=settings,
        out=folder / f"{arm}-{seed}",
        seed=seed,
        progress=lambda done, total, at: print(
            f"{arm}-{seed}: {done}/{total} loss {at['loss']:.3f}", flush=True
        ),
    )
    return result.path
