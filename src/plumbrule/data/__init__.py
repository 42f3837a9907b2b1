"""A user's prompts and labels: read from the forms people keep them in, checked line by line."""

from plumbrule.data.files import LARGEST_FILE
from plumbrule.data.pairs import (
    DemonstrationFile,
    PairFile,
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
    "DemonstrationFile",
    "PairFile",
    "PromptFile",
    "constitution_prompts",
    "preferred_replies",
    "read_demonstrations",
    "read_pairs",
    "read_prompt_file",
    "read_prompts",
    "refuse_overlap",
]
