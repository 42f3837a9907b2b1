"""A user's prompts and corpora: read from the forms people keep them in, checked line by line."""

from plumbrule.data.corpus import Corpus, Passage, open_corpus, read_passages
from plumbrule.data.files import LARGEST_FILE
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
    "Passage",
    "PromptFile",
    "constitution_prompts",
    "open_corpus",
    "read_passages",
    "read_prompt_file",
    "read_prompts",
    "refuse_overlap",
]
