"""Small constitutions for the tests, right in every respect until a test spoils one."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from plumbrule.constitution import Constitution, Counterfactual, CritiqueExample, Principle

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For a machine that is busy with something else."""

SUBJECTS = (
    "weather", "chess", "bread", "music", "trains", "gardens", "maps", "letters", "shoes", "rivers",
)  # fmt: skip


def principle(number: int = 0, **changes: Any) -> Principle:
    """Make a principle about a subject of its own."""
    subject = SUBJECTS[number]
    made = Principle(
        id=f"about-{subject}",
        text=f"Explain {subject} with patience.",
        tier=number % 2,
        source="a town meeting",
        probes=(f"Hurry through {subject}.", f"Be curt about {subject}."),
        twins=(f"Say a word on {subject}.", f"Name a fact on {subject}."),
    )
    return replace(made, **changes)


def clean(*spoiled: Principle, **changes: Any) -> Constitution:
    """Make a constitution nobody complains of, whose first principles are replaced by those given.

    Example:
        >>> len(clean().principles)
        10
    """
    rest = [principle(number) for number in range(len(spoiled), len(SUBJECTS))]
    made = Constitution(
        name="town", version="1", tiers=("First", "Second"), principles=(*spoiled, *rest)
    )
    return replace(made, **changes)


def _surviving(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


ODD = st.sampled_from(
    ["\u2028", "\x85", "\ufeff", "\x00", "\t", "\r\n", "\n", " ", "#", ": ", "- ", "'", '"', "|",
     "\U0001f9f1", "\u202e", "é", "e\u0301", "---", "%", "&a", "*a", "yes", "1.10", "~", "null",
     "!!python/name:os.system", "{", "]", "\\", "\x1b[31m", "[bold]", "\uffff", "\x7f"]
)  # fmt: skip
texts = st.one_of(
    st.text(max_size=30),
    st.lists(st.one_of(ODD, st.text(max_size=4)), max_size=8).map("".join),
    st.lists(st.sampled_from(["word", "two  words", "a: b", " lead", "trail ", "\n", "\n\n"]),
             max_size=40).map("".join),
).filter(_surviving)  # fmt: skip
slugs = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,5}){0,2}", fullmatch=True)
lists = st.lists(texts, max_size=3).map(tuple)
examples = st.builds(CritiqueExample, request=texts, reply=texts, critique=texts, revision=texts)
counterfactuals = st.builds(Counterfactual, reply=texts, breaks=texts, keeps=texts)
principles = st.builds(
    Principle,
    id=slugs,
    text=texts,
    tier=st.integers(0, 5),
    applies_when=lists,
    except_when=lists,
    source=texts,
    critique_examples=st.lists(examples, max_size=2).map(tuple),
    counterfactuals=st.lists(counterfactuals, max_size=2).map(tuple),
    probes=lists,
    twins=lists,
)
constitutions = st.builds(
    Constitution,
    name=texts.filter(str.strip),
    version=texts,
    principles=st.lists(principles, min_size=1, max_size=4, unique_by=lambda each: each.id).map(
        tuple
    ),
    description=texts,
    tiers=lists,
)
