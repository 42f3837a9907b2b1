"""Instructions of IFEval that a few lines can check, and how replies of a collapsed model look.

The checks follow the set's own descriptions (Zhou et al. 2023, "Instruction-following evaluation
for large language models", arXiv:2311.07911), for eight of its kinds.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.real_ground import DATA

MOST_WORDS = 60


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """A request with one instruction that can be checked."""

    request: str
    kind: str
    given: Mapping[str, Any]

    def followed(self, reply: str) -> bool:
        """Whether a reply does what was asked for; an empty one never does."""
        return bool(reply.strip()) and CHECKS[self.kind](reply, self.given)


def _has(reply: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", reply, re.I) is not None


CHECKS: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "punctuation:no_comma": lambda reply, _: "," not in reply,
    "change_case:english_lowercase": lambda reply, _: reply == reply.lower(),
    "change_case:english_capital": lambda reply, _: reply == reply.upper(),
    "keywords:existence": lambda reply, given: all(_has(reply, w) for w in given["keywords"]),
    "keywords:forbidden_words": lambda reply, given: (
        not any(_has(reply, word) for word in given["forbidden_words"])
    ),
    "detectable_format:number_bullet_lists": lambda reply, given: (
        len(re.findall(r"^\s*(?:\*[^*]|-)", reply, re.M)) == given["num_bullets"]
    ),
    "detectable_format:title": lambda reply, _: bool(re.search(r"<<[^\n<>]+>>", reply)),
    "detectable_format:number_highlighted_sections": lambda reply, given: (
        len(re.findall(r"\*[^\n*]+\*", reply)) >= given["num_highlights"]
    ),
}


def instructions() -> list[Instruction]:
    """Short requests of the set that have one instruction of a kind that is checked here."""
    found = []
    path = DATA / "prompts" / "ifeval_input_data.jsonl"
    for line in path.read_text("utf-8").splitlines():
        one = json.loads(line)
        kinds = one["instruction_id_list"]
        if len(kinds) == 1 and kinds[0] in CHECKS and len(one["prompt"].split()) <= MOST_WORDS:
            found.append(Instruction(request=one["prompt"], kind=kinds[0], given=one["kwargs"][0]))
    return found


def repeats(reply: str) -> bool:
    """Whether some four words in a row stand in a reply three times or more."""
    words = reply.lower().split()
    counts = Counter(tuple(words[at : at + 4]) for at in range(len(words) - 3))
    return max(counts.values(), default=0) >= 3


def unique_share(replies: Sequence[str]) -> float:
    """Share of replies whose first twelve words no other reply begins with."""
    openings = Counter(" ".join(each.lower().split()[:12]) for each in replies)
    return sum(count == 1 for count in openings.values()) / max(1, len(replies))
