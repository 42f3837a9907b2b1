"""A user's prompts: read from the forms people keep them in, checked line by line."""

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
    "PromptFile",
    "constitution_prompts",
    "read_prompt_file",
    "read_prompts",
    "refuse_overlap",
]
