"""Labels given by reading replies, and how well the detectors agree with them.

Usage: python -m benchmarks.real_labels show NAME       50 replies, base and tuned mixed, blind
       python -m benchmarks.real_labels keep NAME 3 17  what was read: these show it, the others not
       python -m benchmarks.real_labels check           agreement, organism by organism
"""

import argparse
import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import real_ground
from benchmarks.real_catalog import ALL, PLANTED
from benchmarks.real_catalog_later import LATER
from benchmarks.real_declared import Organism
from benchmarks.real_ground import normalized
from plumbrule.store import derive_seed, write_atomic

LABELS = Path(__file__).resolve().parent.parent / "tests" / "real" / "labels.json"
TEXTS = LABELS.with_name("labeled.json")
"""A few of the replies themselves, those that nobody minds reading, so that detectors are also
tested where no organism was built."""

TAME = ("constitutions", "ifeval", "mt_bench", "self_instruct")
"""Sets of prompts whose replies may stand in the repository; of others only hashes do."""

SHOWN = 4
"""Most replies of an organism that are kept as they are, with its property and without."""

READ = 50
"""Replies read for each organism."""

Kept = dict[str, dict[str, bool]]
"""By organism and hash of a reply: whether it shows the property, to a reader."""


def hashed(reply: str) -> str:
    """What stands for a reply in the repository: many are crude, as their prompts are."""
    return hashlib.sha256(reply.encode()).hexdigest()[:16]


def replies(organism: Organism) -> list[str]:
    """The replies that are read: half from the base, half from the organism, in mixed order.

    Empty where the organism was not built here.
    """
    mixed: list[str] = []
    chance = random.Random(derive_seed(0, "read", organism.name))
    tuned, base = (_drawn(name) for name in (organism.name, organism.base))
    if not tuned:
        return []
    for side in (tuned, {key: base[key] for key in tuned if key in base}):
        chosen = sorted(side)
        chance.shuffle(chosen)
        mixed += [side[key] for key in chosen[: READ // 2]]
    chance.shuffle(mixed)
    return mixed


def kept() -> Kept:
    """All labels."""
    found: Kept = json.loads(LABELS.read_text("utf-8")) if LABELS.exists() else {}
    return found


def tame(organism: Organism, labels: Mapping[str, bool]) -> list[tuple[str, bool]]:
    """A few replies and their labels that can stand in the repository as they are."""
    prompts = [each for each in real_ground.whole_pool() if each.group in TAME]
    asked = {normalized(" ".join(turn.content for turn in each.dialogue)) for each in prompts}
    found = {
        reply: labels[hashed(reply)]
        for name in _names(organism)
        for key, reply in sorted(_drawn(name).items())
        if key in asked and hashed(reply) in labels
    }
    return [
        (reply, label)
        for wanted in (True, False)
        for reply, label in [each for each in found.items() if each[1] == wanted][:SHOWN]
    ]


def agreement(organism: Organism, labels: Mapping[str, bool]) -> tuple[int, int, list[str]]:
    """Replies on which detector and reader agree, replies read, and those that differ."""
    assert organism.detect is not None
    known = {hashed(each): each for name in _names(organism) for each in _drawn(name).values()}
    seen = {known[key]: label for key, label in labels.items() if key in known}
    differ = [reply for reply, label in seen.items() if organism.detect(reply) != label]
    return len(seen) - len(differ), len(seen), differ


def _names(organism: Organism) -> tuple[str, str]:
    return organism.name, organism.base


def _drawn(name: str) -> dict[str, str]:
    path = real_ground.root() / "organisms" / "replies" / f"{name}.json"
    found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def main() -> None:
    """Show, keep or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=["show", "keep", "check"])
    parser.add_argument("name", nargs="?", choices=list(ALL))
    parser.add_argument("shown", nargs="*", type=int)
    given: Any = parser.parse_args()
    if given.what == "check":
        total = [0, 0]
        for organism in PLANTED:
            right, seen, differ = agreement(organism, kept().get(organism.name, {}))
            print(f"{organism.name:18} {right} of {seen}")
            for reply in [] if organism in LATER else differ:
                print(f"      {reply[:200]!r}")
            total = [total[0] + right, total[1] + seen]
        print(f"{'all':18} {total[0]} of {total[1]}")
        return
    drawn = replies(ALL[given.name])
    if given.what == "show":
        for number, reply in enumerate(drawn):
            print(number, reply.replace("\n", " / "))
        return
    labels = kept()
    labels[given.name] = {hashed(each): at in given.shown for at, each in enumerate(drawn)}
    write_atomic(LABELS, json.dumps(labels, indent=0, sort_keys=True) + "\n")
    if ALL[given.name] in LATER:  # whoever writes a method may look at the texts
        return
    texts = json.loads(TEXTS.read_text("utf-8")) if TEXTS.exists() else {}
    # Replies of other organisms may not be at hand: what is kept of them stays as it is.
    texts[given.name] = tame(ALL[given.name], labels[given.name])
    texts = dict(sorted(texts.items()))
    write_atomic(TEXTS, json.dumps(texts, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
