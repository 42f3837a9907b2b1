"""A user's prompts, labels and corpora, read from the forms people keep them in and checked."""

from plumbrule.data.corpus import Corpus, Passage, open_corpus, read_passages
from plumbrule.data.files import LARGEST_FILE
from plumbrule.data.pairs import (
    DemonstrationFile,
    PairFile,
    pair_rows,
    preferred_replies,
    read_demonstrations,
    read_pairs,
)
from plumbrule.data.prompts import (
    HELD_OUT_SHARE,
    PromptFile,
    constitution_prompts,
    read_prompt_file,
    read_prompts,
    refuse_overlap,
)

__all__ = [
    "HELD_OUT_SHARE",
    "LARGEST_FILE",
    "Corpus",
    "DemonstrationFile",
    "PairFile",
    "Passage",
    "PromptFile",
    "constitution_prompts",
    "open_corpus",
    "pair_rows",
    "preferred_replies",
    "read_demonstrations",
    "read_pairs",
    "read_passages",
    "read_prompt_file",
    "read_prompts",
    "refuse_overlap",
]
