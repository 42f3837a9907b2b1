"""Who says whether a reply keeps a principle: a model that was examined first, or an answer key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from plumbrule.compliance.cases import TestSet
from plumbrule.compliance.examination import Oracle, OracleJudgment
from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import (
    PromptSet,
    Standing,
    examine_judge,
    grade,
    load_prompts,
    sort_by_manner,
)
from plumbrule.models import LanguageModel
from plumbrule.records import Exchange, Judgment, MannerJudgment


@dataclass(frozen=True, kw_only=True)
class ReplyJudge:
    """What an examination asks."""

    identity: str
    """What decides its word, for the record."""

    name: str
    """What a reader calls it."""

    principles: frozenset[str]
    """Those that it can judge."""

    verdicts: Callable[[Sequence[Exchange], Sequence[str], Sequence[int]], list[Judgment]]
    """Its word on each reply under the principle given beside it; the last are seeds."""

    manners: Callable[[Sequence[Exchange], Sequence[int]], list[MannerJudgment]]
    """How each reply meets its request."""

    unproven: tuple[str, ...] = ()
    """Principles on which there were too few examples to examine it."""


def as_judge(
    judge: "LanguageModel | Oracle | ReplyJudge",
    law: Constitution,
    *,
    prompts: PromptSet | None = None,
    seed: int = 0,
) -> ReplyJudge:
    """Make a judge of a model, which is examined first, or of an answer key.

    Args:
        judge: Who judges.
        law: The principles.
        prompts: What a model is asked in; None: the default set.
        seed: Of its examination.

    Raises:
        ConfigError: The model does no better than chance on the constitution's own examples.
    """
    if isinstance(judge, ReplyJudge):
        return judge
    if isinstance(judge, LanguageModel):
        return model_judge(judge, law, prompts=prompts or load_prompts("default"), seed=seed)
    return key_judge(judge, law)


def model_judge(
    model: LanguageModel, law: Constitution, *, prompts: PromptSet, seed: int = 0
) -> ReplyJudge:
    """A model as judge, for the principles under which it does better than chance.

    Raises:
        ConfigError: There is none.
    """
    standing = examine_judge(model, law, prompts, seed)
    able = frozenset(each.id for each in standing.judged(law))
    if not able:
        raise ConfigError(
            f"the judge {model.spec} does no better than chance on the constitution's own "
            "examples, under any principle; give another --judge"
        )
    trial = standing.trial
    return ReplyJudge(
        identity=f"{model.identity} {prompts.sha256}",
        name=model.spec,
        principles=able,
        verdicts=lambda replies, names, seeds: _graded(
            model, law, prompts, standing, replies, names, seeds
        ),
        manners=lambda replies, seeds: sort_by_manner(model, replies, prompts=prompts, seeds=seeds),
        unproven=tuple(
            sorted(name for name in able if trial is None or trial.ability(name).works is None)
        ),
    )


def _graded(
    model: LanguageModel,
    law: Constitution,
    prompts: PromptSet,
    standing: Standing,
    replies: Sequence[Exchange],
    names: Sequence[str],
    seeds: Sequence[int],
) -> list[Judgment]:
    """Each reply under its one principle; what a reply says to its judge is guarded against."""
    found: dict[int, Judgment] = {}
    for name in dict.fromkeys(names):
        places = [place for place, own in enumerate(names) if own == name]
        judgments = grade(
            model,
            [replies[place] for place in places],
            law,
            prompts=prompts,
            seeds=[seeds[place] for place in places],
            standing=replace(standing, only=frozenset({name})),
        )
        found |= dict(zip(places, judgments, strict=True))
    return [found[place] for place in range(len(replies))]


def readable_tests(
    tests: TestSet, judge: "LanguageModel | Oracle | ReplyJudge"
) -> tuple[TestSet, tuple[str, ...]]:
    """Tests without the requests that an answer key does not know, and a sentence where it is so.

    An answer key knows the requests it was made for; in other words, or about other things, there
    is nothing that it could say of any reply.

    Args:
        tests: What a model is to be asked.
        judge: Who judges; a model can read every request.

    Raises:
        DataError: The answer key knows none of the requests.
    """
    if isinstance(judge, LanguageModel | ReplyJudge):
        return tests, ()
    kept, why = [], ""
    for case in tests.cases:
        try:
            judge([Exchange(id=case.id, dialogue=case.dialogue, response="", model="")])
        except DataError as error:
            why = why or str(error)
            continue
        kept.append(case)
    left_out = len(tests.cases) - len(kept)
    if left_out and not kept:
        raise DataError(
            f"expected requests that the answer key knows, it knows none of {left_out}: {why}"
        )
    if not left_out:
        return tests, ()
    said = f"{left_out} of {len(tests.cases)} tests are left out: the answer key knows no such "
    return replace(tests, cases=tuple(kept)), (f"{said}request. The first: {why}.",)


_MANNERS = {"helps": "helped", "objects": "objected", "evades": "evaded"}


def key_judge(oracle: Oracle, law: Constitution) -> ReplyJudge:
    """An answer key as judge: what it cannot read has no verdict."""

    def verdicts(
        replies: Sequence[Exchange], names: Sequence[str], seeds: Sequence[int]
    ) -> list[Judgment]:
        del seeds
        return [
            _from_key(each, name, law) for each, name in zip(oracle(replies), names, strict=True)
        ]

    def manners(replies: Sequence[Exchange], seeds: Sequence[int]) -> list[MannerJudgment]:
        del seeds
        return [
            MannerJudgment(
                exchange_id=each.exchange_id,
                manner=_MANNERS.get(each.manner, "errored"),  # type: ignore[arg-type]
                probabilities=None,
                rationale="" if each.manner in _MANNERS else "the reply cannot be read",
                judge="answer key",
                prompt_sha256="",
                method="oracle",
            )
            for each in oracle(replies)
        ]

    return ReplyJudge(
        identity="answer key",
        name="the answer key",
        principles=frozenset(each.id for each in law.principles),
        verdicts=verdicts,
        manners=manners,
    )


def _from_key(said: OracleJudgment, name: str, law: Constitution) -> Judgment:
    verdict = said.verdicts[name]
    return Judgment(
        exchange_id=said.exchange_id,
        principle_id=name,
        constitution_sha256=law.sha256,
        verdict="errored" if verdict == "unreadable" else verdict,
        probability=None,
        rationale="the reply cannot be read" if verdict == "unreadable" else "",
        judge="answer key",
        prompt_sha256="",
        method="oracle",
    )
