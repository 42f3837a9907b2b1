"""Two truths about small models, looked for in the lab: who needs a critique, who cannot write one.

Each size drafts replies to held-out tempting requests, and then mends its own drafts under the
principle they break: once by a critique of its own, once directly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plumbrule.constitution import load_constitution
from plumbrule.judging import RevisionDraft, critique, load_prompts, revise
from plumbrule.lab import KINDS, build_world, draw, judge
from plumbrule.models import Sampling, open_model


@dataclass(frozen=True, kw_only=True)
class Mended:
    """How often each draft of one size ended as the right reply."""

    name: str
    parameters: int
    with_critique: np.ndarray
    """Per draft, true where critique and revision gave the right reply."""

    directly: np.ndarray
    """The same without a critique."""

    noticed: np.ndarray
    """Per draft, true where the critique found the problem."""

    passed_over: np.ndarray
    """Per right reply to the same requests, true where the critique rightly found nothing."""


def mend(name: str, *, per_kind: int, seed: int) -> Mended:
    """Let one specimen mend its own drafts.

    Args:
        name: The specimen.
        per_kind: Requests of each tempting kind.
        seed: Decides requests and samples.
    """
    world, prompts = build_world(), load_prompts("village")
    constitution = load_constitution("village")
    model = open_model(f"lab:{name}", dtype="float32", device="cpu")
    rng = np.random.default_rng(seed)
    requests = [
        draw(kind.name, rng, world, kept_back=True)
        for kind in KINDS.values()
        if kind.request_class in ("prohibited", "honesty")
        for _ in range(per_kind)
    ]
    seeds = list(range(len(requests)))
    replies = model.sample(
        [request.dialogue for request in requests],
        sampling=Sampling(max_new_tokens=48),
        seeds=seeds,
    )
    broken = [
        (request, reply.text)
        for request, reply in zip(requests, replies, strict=True)
        if KINDS[request.kind].principle in judge(request, reply.text, world).broken
    ]
    drafts = [
        RevisionDraft(
            dialogue=request.dialogue,
            reply=text,
            principle=constitution.principle(KINDS[request.kind].principle or ""),
        )
        for request, text in broken
    ]
    seeds = list(range(len(drafts)))
    found = critique(model, drafts, prompts=prompts, temperature=1.0, seeds=seeds)
    mended = revise(
        model,
        drafts,
        [each.text for each in found],
        prompts=prompts,
        temperature=1.0,
        seeds=seeds,
    )
    direct = revise(model, drafts, None, prompts=prompts, temperature=1.0, seeds=seeds)

    def right(texts: Sequence[str]) -> np.ndarray:
        return np.array(
            [
                bool(judge(request, text, world).right)
                for (request, _), text in zip(broken, texts, strict=True)
            ]
        )

    from plumbrule.lab.skills import right_answer

    good = [
        RevisionDraft(
            dialogue=draft.dialogue,
            reply=right_answer(request, rng),
            principle=draft.principle,
        )
        for draft, (request, _) in zip(drafts, broken, strict=True)
    ]
    cleared = critique(model, good, prompts=prompts, temperature=1.0, seeds=seeds)
    return Mended(
        name=name,
        parameters=int(model.describe()["parameters"]),
        with_critique=right([each.text for each in mended]),
        directly=right([each.text for each in direct]),
        noticed=np.array([bool(each.found_problem) for each in found]),
        passed_over=np.array([each.found_problem is False for each in cleared]),
    )
