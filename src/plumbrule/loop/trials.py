"""Which critic works, found out before it teaches: the trial of whoever judges in a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError, ModelError
from plumbrule.judging import (
    NOTHING_KNOWN,
    ConditionAbility,
    ConditionAnswer,
    Scope,
    Standing,
    TrialAnswer,
    conclude,
    conclude_conditions,
    diagnose,
    find_scopes,
    known_conditions,
    known_replies,
    readings,
    recorded,
    try_conditions,
    try_judge,
    try_remedies,
)
from plumbrule.loop.steps import Jury
from plumbrule.loop.workspace import Staging
from plumbrule.models import LanguageModel
from plumbrule.records import Prompt, to_json
from plumbrule.store import derive_seed, fingerprint

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class EarlierTrial:
    """What somebody said when examined under an older version of the constitution.

    Of it only that is taken which is asked in the same words now.
    """

    law: Constitution
    answers: Sequence[TrialAnswer]
    conditions: Sequence[ConditionAnswer]
    standing: Standing
    prompts: Sequence[Prompt]
    """Those of which it was settled which principles they are outside of."""

    def scopes(self) -> dict[str, Scope]:
        """Which principles each prompt was outside of, by what it asks and is called."""
        settled = self.standing.scopes or {}
        return {_place(each): settled[each.id] for each in self.prompts if each.id in settled}

    def said(self, law: Constitution) -> dict[str, TrialAnswer]:
        """Answers about known replies whose question is the same under another version."""
        same = {
            each.id
            for each in self.law.principles
            if any(
                (other.id, other.text, other.statement()) == (each.id, each.text, each.statement())
                for other in law.principles
            )
        }
        return {
            fingerprint(to_json(each.known)): each
            for each in self.answers
            if each.known.principle_id in same
        }


def try_jury(
    run: Staging,
    jury: Jury,
    prompts: Sequence[Prompt],
    *,
    earlier: Mapping[str, EarlierTrial] | None = None,
) -> Jury:
    """Examine critic and judge on the constitution's own examples, and settle what applies where.

    Args:
        run: The run.
        jury: Who judges, by which constitution, in which words.
        prompts: All prompts of the run: which principles each is outside of is decided once.
        earlier: What `critic` and `judge` said of an older version; what is asked in the same
            words now is not asked again.

    Returns:
        The jury, with what was found. A constitution without worked examples tests nobody.

    Raises:
        ModelError: The critic does no better than chance under any principle that has enough
            examples, and the configuration does not say `teach_anyway`.
    """
    if not any(principle.known_replies for principle in jury.constitution.principles):
        return jury
    known = earlier or {}
    told = _answers(run, "critic", jury, jury.critic, known.get("critic"))
    critic = _standing(run, "critic", jury, jury.critic, prompts, told, known.get("critic"))
    judge, other = critic, None
    if jury.judge.identity != jury.critic.identity:
        other = _answers(run, "judge", jury, jury.judge, known.get("judge"))
        judge = _standing(run, "judge", jury, jury.judge, prompts, other, known.get("judge"))
    if run.config.teach_anyway and jury.critic_teaches:
        critic = _insisted(critic)
    elif jury.critic_teaches:
        _refuse_useless(critic, jury, told, other)
    return replace(jury, critic_standing=critic, judge_standing=judge)


def earlier_trials(run: Staging, jury: Jury, prompts: Sequence[Prompt]) -> dict[str, EarlierTrial]:
    """What critic and judge of a finished run said when they were examined."""
    if jury.critic_standing.trial is None:
        return {}
    parts = {"critic": (jury.critic, jury.critic_standing)}
    if jury.judge.identity != jury.critic.identity:
        parts["judge"] = (jury.judge, jury.judge_standing)
    return {
        name: EarlierTrial(
            law=jury.constitution,
            answers=_answers(run, name, jury, who),
            conditions=_asked_conditions(run, name, jury, who),
            standing=standing,
            prompts=prompts,
        )
        for name, (who, standing) in parts.items()
    }


def try_held_out(run: Staging, jury: Jury, who: LanguageModel, prompts: Sequence[Prompt]) -> Jury:
    """Examine a judge that takes no other part, as the run's own is; it alone is then the jury."""
    alone = Jury(constitution=jury.constitution, prompts=jury.prompts, critic=who, judge=who)
    if jury.judge_standing.trial is None:
        return alone
    name = held_out_name(who)
    told = _answers(run, name, alone, who)
    return replace(alone, judge_standing=_standing(run, name, alone, who, prompts, told))


def held_out_name(who: LanguageModel) -> str:
    """What its stages are called: a run may be given another one later."""
    return f"held_out_judge_{fingerprint(who.identity)[:12]}"


def _insisted(standing: Standing) -> Standing:
    """The critic as one that teaches all the same: of no principle is it said that it fails there.

    Only what it teaches is insisted on. Nothing is graded where the judge was seen to know nothing:
    that would take most of a run, for numbers that mean nothing.
    """
    trial = standing.trial
    assert trial is not None
    abilities = [replace(each, works=each.works or None) for each in trial.abilities]
    return replace(standing, trial=replace(trial, abilities=tuple(abilities)))


def _answers(
    run: Staging,
    name: str,
    jury: Jury,
    who: LanguageModel,
    earlier: EarlierTrial | None = None,
) -> list[TrialAnswer]:
    """What somebody says of the known replies."""
    words, law = jury.prompts, jury.constitution
    said = {} if earlier is None else earlier.said(law)
    return run.stage(
        f"trial/{name}",
        known_replies(law),
        _where_unsaid(
            said,
            lambda shard, seeds: try_judge(who, shard, law, prompts=words, seeds=seeds),
        ),
        kind=TrialAnswer,
        inputs={**jury.inputs(who), **_from(earlier)},
        models=[who],
    )


def _asked_conditions(
    run: Staging,
    name: str,
    jury: Jury,
    who: LanguageModel,
    earlier: EarlierTrial | None = None,
) -> list[ConditionAnswer]:
    """What somebody says of requests of which it is known whether conditions hold."""
    words = jury.prompts
    questions = known_conditions(jury.constitution) if words.decides_conditions else []
    if not questions:
        return []
    # The question names the condition and the request alone, whatever principle it stands with.
    said = {} if earlier is None else {_of(each.question): each for each in earlier.conditions}
    return run.stage(
        f"trial/{name}_conditions",
        questions,
        _where_unsaid(
            said, lambda shard, seeds: try_conditions(who, shard, prompts=words, seeds=seeds)
        ),
        kind=ConditionAnswer,
        inputs={**jury.inputs(who), **_from(earlier)},
        models=[who],
    )


def _where_unsaid(
    said: Mapping[str, _Answer],
    ask: Callable[[Sequence[_Question], Sequence[int]], Sequence[_Answer]],
) -> Callable[[Sequence[_Question], int], list[_Answer]]:
    """Work that asks only what was not said before."""

    def work(shard: Sequence[_Question], seed: int) -> list[_Answer]:
        seeds = _seeds(seed, len(shard))
        places = [at for at, each in enumerate(shard) if _of(each) not in said]
        fresh = ask([shard[at] for at in places], [seeds[at] for at in places]) if places else ()
        found = dict(zip(places, fresh, strict=True))
        return [found[at] if at in found else said[_of(each)] for at, each in enumerate(shard)]

    return work


def _place(prompt: Prompt) -> str:
    return fingerprint([prompt.id, to_json(prompt.dialogue)])


def _of(question: object) -> str:
    return fingerprint(to_json(question))


def _from(earlier: EarlierTrial | None) -> dict[str, str]:
    """What is taken from an older version decides the records too."""
    if earlier is None:
        return {}
    known = [to_json(list(earlier.answers)), to_json(list(earlier.conditions))]
    return {"earlier": fingerprint([earlier.law.sha256, known])}


def _standing(
    run: Staging,
    name: str,
    jury: Jury,
    who: LanguageModel,
    prompts: Sequence[Prompt],
    answers: Sequence[TrialAnswer],
    earlier: EarlierTrial | None = None,
) -> Standing:
    words, law = jury.prompts, jury.constitution
    trial = conclude(who.identity, answers, law)
    told = _asked_conditions(run, name, jury, who, earlier)
    if not told:
        return Standing(trial=trial, diagnosis=diagnose(answers))
    conditions = conclude_conditions(told)
    known = {} if earlier is None else earlier.scopes()
    before = {} if earlier is None else _by_principle(earlier.standing.conditions)
    now = _by_principle(conditions)
    # A principle whose conditions are told by the same borders is outside of what it was.
    steady = {each for each in now if now[each] == before.get(each)}
    unsteady = [each for each in conditions if each.condition.principle_id not in steady]

    def settle(shard: Sequence[Prompt], seed: int) -> list[Scope]:
        seeds, found = _seeds(seed, len(shard)), dict[str, Scope]()
        for asked, old in ((conditions, False), (unsteady, True)):
            places = [at for at, each in enumerate(shard) if (_place(each) in known) is old]
            fresh = find_scopes(
                who,
                [(shard[at].id, shard[at].dialogue) for at in places],
                asked,
                prompts=words,
                seeds=[seeds[at] for at in places],
            )
            for at, scope in zip(places, fresh, strict=True):
                outside = known[_place(shard[at])].outside if old else {}
                kept = {name: why for name, why in outside.items() if name in steady}
                found[scope.prompt_id] = replace(scope, outside={**kept, **scope.outside})
        return [found[each.id] for each in shard]

    scopes = run.stage(
        f"scopes/{name}",
        prompts,
        settle,
        kind=Scope,
        inputs={**jury.inputs(who), **_from(earlier), "conditions": to_json(conditions)},
        models=[who],
    )
    return Standing(
        trial=trial,
        diagnosis=diagnose(answers),
        conditions=conditions,
        scopes={each.prompt_id: each for each in scopes},
    )


def _by_principle(conditions: Sequence[ConditionAbility]) -> dict[str, list[ConditionAbility]]:
    """Which conditions each principle has, and how well they are told."""
    found: dict[str, list[ConditionAbility]] = {}
    for each in conditions:
        found.setdefault(each.condition.principle_id, []).append(each)
    return found


def _seeds(seed: int, count: int) -> list[int]:
    return [derive_seed(seed, number) for number in range(count)]


def _refuse_useless(
    standing: Standing,
    jury: Jury,
    told: Sequence[TrialAnswer],
    other: Sequence[TrialAnswer] | None,
) -> None:
    """Stop before a critic that knows nothing teaches, and say what would help.

    Where only a few principles could be tested, they are left out and the others taught.
    """
    trial = standing.trial
    if trial is None or trial.working or 2 * len(trial.tested) < len(trial.abilities):
        return
    known = sum(each.known_replies for each in jury.constitution.principles)
    raise ModelError(
        f"expected a critic that tells replies that break a principle from replies that keep it; "
        f"{jury.critic.spec} does no better than chance under each of the {len(trial.tested)} "
        f"principles tested, on {known} replies of which it is known. What it would teach "
        f"is noise.{_kind(standing)}{_advice(told, other)} Give a larger --critic or an endpoint, "
        "or other judging_prompts; `plumbrule judge remedies` tries what else may help; "
        "--teach-anyway teaches all the same. Look at stages/trial/critic."
    )


def _kind(standing: Standing) -> str:
    """What is wrong with a judge, where it has a name."""
    found = standing.diagnosis
    if found is None or found.kind in ("works", "knows nothing", "not tested"):
        return ""
    return f" The critic {found.kind}: {found.reason}."


def _advice(told: Sequence[TrialAnswer], other: Sequence[TrialAnswer] | None) -> str:
    """Which way of reading wins on the known replies, of those that take no further question."""
    remedies = readings(recorded(told), None if other is None else recorded(other))
    try:
        found = try_remedies([each.known for each in told], remedies)
    except DataError:  # too few known replies to try anything on
        return ""
    tried = ", ".join(f"{each.name} {each.accuracy.value:.0%}" for each in found.results)
    return (
        f" Tried on the known replies: {tried} told rightly. Recommended: {found.recommended}, "
        f"because {found.reason}."
    )


def say_trial(who: str, standing: Standing, constitution: Constitution) -> list[str]:
    """What a trial found, in sentences for a report; none where nobody was tried."""
    trial = standing.trial
    if trial is None:
        return []
    able = [each.principle_id for each in trial.working]
    unable = [each.principle_id for each in trial.abilities if each.works is False]
    untested, insisted = (
        [
            each.principle_id
            for each in trial.abilities
            if each.works is None and (each.p_value is not None) == tested
        ]
        for tested in (False, True)
    )
    lines = [
        f"The {who} was examined first, on replies of which it is known whether they break a "
        f"principle: it does better than chance under {len(able)} of "
        f"{len(constitution.principles)} principles" + (f" ({', '.join(able)})." if able else ".")
    ]
    if unable and (kind := _kind(standing).strip()):
        lines.append(kind.replace("The critic", f"The {who}", 1))
    if unable:
        spared = "Neither taught nor graded" if who == "critic" else "Not graded"
        lines.append(
            f"{spared} by the {who}, because it does no better than chance there: "
            f"{', '.join(unable)}. A larger model, more worked examples, the facts in the prompt, "
            "or people would help."
        )
    if untested:
        lines.append(f"Not examined, for want of worked examples: {', '.join(untested)}.")
    if insisted:
        lines.append(
            "Taught all the same, because --teach-anyway was given, though the critic does no "
            f"better than chance, and not graded by it: {', '.join(insisted)}."
        )
    return lines


def trial_rows(who: str, standing: Standing) -> list[dict[str, Any]]:
    """Findings of a trial, one row for each principle, for the record of a report."""
    if standing is NOTHING_KNOWN or standing.trial is None:
        return []
    return [{"who": who, **to_json(each)} for each in standing.trial.abilities]
