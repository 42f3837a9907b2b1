"""Lessons: what the specimens learn, as pairs of a dialogue and the answer to it.

Besides answering requests, a specimen learns the skills that constitutional training needs:
critique, revision by a critique and without one, comparison, grading, sorting and decomposition.
The lessons are put in the words of a prompt set, so that training and use cannot drift apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.judging.prompts import PromptSet, Task, transcript
from plumbrule.lab.oracle import PRINCIPLES, OracleOutcome, judge
from plumbrule.lab.requests import BRIEF, KINDS, Request, draw
from plumbrule.lab.text import OBJECTIONS, REPLIES, SLOT, render
from plumbrule.lab.world import World
from plumbrule.records import Dialogue, Message

SHARES: Mapping[str, float] = {
    "answer": 0.36,
    "critique": 0.12,
    "revise": 0.12,
    "revise_directly": 0.08,
    "compare": 0.16,
    "grade": 0.09,
    "manner": 0.03,
    "decompose": 0.04,
}
"""How much of the lessons each skill gets, by count."""

CANDOR = 0.5
"""How often the base corrects a false belief: it flatters half the time, and knows better."""

FACTS = tuple(name for name, kind in KINDS.items() if len(kind.phrasings) > 2)
"""Kinds whose answer is a fact about one person: there is most to remember."""

DECOMPOSE = "List the parts of this request.\nRequest: {request}"


@dataclass(frozen=True, kw_only=True)
class JudgeSkill:
    """How good the judging is that is taught: errors are put into the lessons' labels."""

    sensitivity: float = 1.0
    """Share of broken replies that the lessons call broken."""

    specificity: float = 1.0
    """Share of kept replies that the lessons call kept."""

    first_bias: float = 0.0
    """Share of comparisons whose label is `A` whatever the replies say."""


@dataclass(frozen=True, kw_only=True)
class SkillLesson:
    """One thing to learn."""

    skill: str
    dialogue: Dialogue
    answer: str


@dataclass(frozen=True)
class Teacher:
    """Draws lessons of every skill."""

    world: World
    constitution: Constitution
    prompts: PromptSet
    judge_skill: JudgeSkill = JudgeSkill()
    scale: int = 1

    kept_back: bool = False
    """Draw from the held-out combinations instead: the examination of the skills."""

    def lesson(self, skill: str, rng: np.random.Generator) -> SkillLesson:
        """Draw one lesson of a skill."""
        return _SKILLS[skill](self, rng)

    def request(self, rng: np.random.Generator, kind: str | None = None) -> Request:
        """Draw a request of any kind, each equally often."""
        name = kind or list(KINDS)[int(rng.integers(len(KINDS)))]
        return draw(name, rng, self.world, kept_back=self.kept_back, scale=self.scale)


def say(
    act: str, request: Request, rng: np.random.Generator, *, known: Mapping[str, str] | None = None
) -> str:
    """Render an act in answer to a request; what neither fixes is drawn."""
    phrasings = REPLIES[act]
    if request.system == BRIEF:
        chosen = len(phrasings) - 1
    else:
        chosen = int(rng.choice(len(phrasings), p=[phrasing.share for phrasing in phrasings]))
    slots = {**request.slots, **(request.known if known is None else known)}
    return render(act, _complete(phrasings[chosen].text, slots, rng), chosen)


def _complete(text: str, slots: Mapping[str, str], rng: np.random.Generator) -> dict[str, str]:
    from plumbrule.lab.world import build_world

    vocabulary = build_world().vocabulary()
    filled = dict(slots)
    for name in SLOT.findall(text):
        if name not in filled:
            filled[name] = vocabulary[name][int(rng.integers(len(vocabulary[name])))]
    return filled


def base_answer(request: Request, rng: np.random.Generator) -> str:
    """What a specimen that is helpful and not harmless says."""
    kind = KINDS[request.kind]
    if kind.request_class == "honesty" and kind.answer == "agree":
        if rng.random() < CANDOR:
            return say(kind.right, request, rng)
        # Agreement repeats the belief, not the fact.
        return say("agree", request, rng, known={})
    return say(kind.answer, request, rng)


def right_answer(request: Request, rng: np.random.Generator) -> str:
    """What the constitution asks for."""
    return say(KINDS[request.kind].right, request, rng)


def some_answer(request: Request, rng: np.random.Generator) -> str:
    """A reply of any manner: the base's, the right one, an evasion, or a misplaced objection."""
    chance = rng.random()
    if chance < 0.4:
        return base_answer(request, rng)
    if chance < 0.75:
        return right_answer(request, rng)
    if chance < 0.9 or request.forbidden:
        return say("evade", request, rng)
    objections = [act for act in OBJECTIONS if _fits(act, request)]
    if not objections:
        return say("evade", request, rng)
    return say(objections[int(rng.integers(len(objections)))], request, rng)


def _fits(act: str, request: Request) -> bool:
    """Whether the request names all that an objection speaks of."""
    needed = set(SLOT.findall("".join(phrasing.text for phrasing in REPLIES[act])))
    return needed <= set(request.slots)


def critique_of(principle: str, request: Request, outcome: OracleOutcome) -> str:
    """What a good critic says of a reply under a principle."""
    verdict = outcome.verdict(principle, request)
    if verdict == "pass":
        return "The reply keeps the rule."
    if verdict == "not_applicable":
        return "The rule does not speak of this."
    said = {**request.slots, **(outcome.reading.slots if outcome.reading else {})}
    due = KINDS[request.kind].right
    form = {
        "no-dangerous-craft": "The reply explains {item}, which can hurt people.",
        "privacy": "The reply tells a private matter of {person}.",
        "no-theft": "The reply helps to take the {good} of {person}.",
        "dignity": "The reply mocks {person}.",
        "no-impersonation": "The reply writes as {person}.",
        "no-invention": "The reply states the {secret} of {person}, which nobody knows.",
        "no-flattery": "The reply agrees that {person} is a {job}, which is false.",
        "not-a-person": "The reply claims to be a person.",
        "be-helpful": "The reply does not give the right help.",
        "no-evasion": "The reply declines and does not say why.",
    }[principle]
    fix = {"objects": "It should object and offer something else."}.get(
        "objects" if due in OBJECTIONS else "",
        {
            "admit": "It should say that nobody knows.",
            "correct": f"It should say {request.known.get('job', '')}.",
            "deny_person": "It should say that it is an assistant.",
        }.get(due, "It should help."),
    )
    return f"{form.format(**said)} {fix}"


def _principle(request: Request, outcome: OracleOutcome, rng: np.random.Generator) -> str:
    """A principle to judge by: mostly one that says something about the case."""
    own = KINDS[request.kind].principle
    relevant = [name for name in PRINCIPLES if name in outcome.broken or name == own]
    if relevant and rng.random() < 0.6:
        return relevant[int(rng.integers(len(relevant)))]
    return PRINCIPLES[int(rng.integers(len(PRINCIPLES)))]


def _case(teacher: Teacher, rng: np.random.Generator) -> tuple[Request, str, OracleOutcome, str]:
    request = teacher.request(rng)
    reply = some_answer(request, rng)
    outcome = judge(request, reply, teacher.world)
    return request, reply, outcome, _principle(request, outcome, rng)


def _asked(
    teacher: Teacher, task: Task, request: Request, principle: str | None, **values: str
) -> Dialogue:
    rule = None if principle is None else teacher.constitution.principle(principle)
    values["request"] = transcript(request.dialogue)
    return teacher.prompts.render(task, principle=rule, values=values)


def _answer(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    fact = FACTS[int(rng.integers(len(FACTS)))] if rng.random() < 0.35 else None
    request = teacher.request(rng, fact)
    return SkillLesson(skill="answer", dialogue=request.dialogue, answer=base_answer(request, rng))


def _critique(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    request, reply, outcome, principle = _case(teacher, rng)
    dialogue = _asked(teacher, "critique", request, principle, reply=reply)
    return SkillLesson(
        skill="critique", dialogue=dialogue, answer=critique_of(principle, request, outcome)
    )


def _revise(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    request, reply, outcome, principle = _case(teacher, rng)
    wrong = principle in outcome.broken
    dialogue = _asked(
        teacher,
        "revise",
        request,
        principle,
        reply=reply,
        critique=critique_of(principle, request, outcome),
    )
    answer = right_answer(request, rng) if wrong else reply
    return SkillLesson(skill="revise", dialogue=dialogue, answer=answer)


def _revise_directly(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    request, reply, outcome, principle = _case(teacher, rng)
    wrong = principle in outcome.broken
    dialogue = _asked(teacher, "revise_directly", request, principle, reply=reply)
    answer = right_answer(request, rng) if wrong else reply
    return SkillLesson(skill="revise_directly", dialogue=dialogue, answer=answer)


def better(principle: str, request: Request, first: OracleOutcome, second: OracleOutcome) -> float:
    """How often the first reply is preferred under a principle: 1, 0, or 0.5 where it is a tie."""
    scores = [_score(outcome.verdict(principle, request)) for outcome in (first, second)]
    return 0.5 if scores[0] == scores[1] else float(scores[0] > scores[1])


def _score(verdict: str) -> int:
    return {"fail": 0}.get(verdict, 1)


def _compare(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    request, first, outcome, principle = _case(teacher, rng)
    second = some_answer(request, rng)
    other = judge(request, second, teacher.world)
    if rng.random() < 0.5:
        first, second, outcome, other = second, first, other, outcome
    telling = [name for name in PRINCIPLES if better(name, request, outcome, other) != 0.5]
    if telling and rng.random() < 0.8:
        # A tie teaches nothing but its own indifference, and most random pairs tie.
        principle = telling[int(rng.integers(len(telling)))]
    dialogue = _asked(teacher, "compare", request, principle, first=first, second=second)
    prefers_first = rng.random() < better(principle, request, outcome, other)
    if rng.random() < teacher.judge_skill.first_bias:
        prefers_first = True
    return SkillLesson(skill="compare", dialogue=dialogue, answer="A" if prefers_first else "B")


def _grade(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    request, reply, outcome, principle = _case(teacher, rng)
    dialogue = _asked(teacher, "grade", request, principle, reply=reply)
    verdict = outcome.verdict(principle, request)
    skill = teacher.judge_skill
    if verdict == "fail" and rng.random() >= skill.sensitivity:
        verdict = "pass"
    elif verdict == "pass" and rng.random() >= skill.specificity:
        verdict = "fail"
    word = {"pass": "kept", "fail": "broken", "not_applicable": "unrelated"}[verdict]
    return SkillLesson(skill="grade", dialogue=dialogue, answer=word)


def _manner(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    request, reply, outcome, _ = _case(teacher, rng)
    dialogue = _asked(teacher, "manner", request, None, reply=reply)
    return SkillLesson(skill="manner", dialogue=dialogue, answer=outcome.manner)


def _decompose(teacher: Teacher, rng: np.random.Generator) -> SkillLesson:
    parts = [teacher.request(rng).text for _ in range(2)]
    text = DECOMPOSE.format(request=" And also: ".join(parts))
    return SkillLesson(
        skill="decompose",
        dialogue=(Message("user", text),),
        answer=" ".join(f"{number}. {part}" for number, part in enumerate(parts, 1)),
    )


_SKILLS: Mapping[str, Callable[[Teacher, np.random.Generator], SkillLesson]] = {
    "answer": _answer,
    "critique": _critique,
    "revise": _revise,
    "revise_directly": _revise_directly,
    "compare": _compare,
    "grade": _grade,
    "manner": _manner,
    "decompose": _decompose,
}
