"""Which critic works, found out before it teaches: the trial of whoever judges in a run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError, ModelError
from plumbrule.judging import (
    NOTHING_KNOWN,
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
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.models import LanguageModel
from plumbrule.records import Prompt, to_json
from plumbrule.store import derive_seed, fingerprint


def try_jury(run: RunWorkspace, jury: Jury, prompts: Sequence[Prompt]) -> Jury:
    """Examine critic and judge on the constitution's own examples, and settle what applies where.

    Args:
        run: The run.
        jury: Who judges, by which constitution, in which words.
        prompts: All prompts of the run: which principles each is outside of is decided once.

    Returns:
        The jury, with what was found. A constitution without worked examples tests nobody.

    Raises:
        ModelError: The critic does no better than chance under any principle that has enough
            examples, and the configuration does not say `teach_anyway`.
    """
    if not any(principle.known_replies for principle in jury.constitution.principles):
        return jury
    told = _answers(run, "critic", jury, jury.critic)
    critic = _standing(run, "critic", jury, jury.critic, prompts, told)
    judge, other = critic, None
    if jury.judge.identity != jury.critic.identity:
        other = _answers(run, "judge", jury, jury.judge)
        judge = _standing(run, "judge", jury, jury.judge, prompts, other)
    if run.config.teach_anyway and jury.critic_teaches:
        critic = _insisted(critic)
    elif jury.critic_teaches:
        _refuse_useless(critic, jury, told, other)
    return replace(jury, critic_standing=critic, judge_standing=judge)


def try_held_out(
    run: RunWorkspace, jury: Jury, who: LanguageModel, prompts: Sequence[Prompt]
) -> Jury:
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


def _answers(run: RunWorkspace, name: str, jury: Jury, who: LanguageModel) -> list[TrialAnswer]:
    """What somebody says of the known replies."""
    words, law = jury.prompts, jury.constitution
    return run.stage(
        f"trial/{name}",
        known_replies(law),
        lambda shard, seed: try_judge(
            who, shard, law, prompts=words, seeds=_seeds(seed, len(shard))
        ),
        kind=TrialAnswer,
        inputs=jury.inputs(who),
        models=[who],
    )


def _standing(
    run: RunWorkspace,
    name: str,
    jury: Jury,
    who: LanguageModel,
    prompts: Sequence[Prompt],
    answers: Sequence[TrialAnswer],
) -> Standing:
    words, law = jury.prompts, jury.constitution
    inputs = jury.inputs(who)
    trial = conclude(who.identity, answers, law)
    questions = known_conditions(law) if words.decides_conditions else []
    if not questions:
        return Standing(trial=trial, diagnosis=diagnose(answers))
    told = run.stage(
        f"trial/{name}_conditions",
        questions,
        lambda shard, seed: try_conditions(
            who, shard, prompts=words, seeds=_seeds(seed, len(shard))
        ),
        kind=ConditionAnswer,
        inputs=inputs,
        models=[who],
    )
    conditions = conclude_conditions(told)
    scopes = run.stage(
        f"scopes/{name}",
        prompts,
        lambda shard, seed: find_scopes(
            who,
            [(prompt.id, prompt.dialogue) for prompt in shard],
            conditions,
            prompts=words,
            seeds=_seeds(seed, len(shard)),
        ),
        kind=Scope,
        inputs={**inputs, "conditions": to_json(conditions)},
        models=[who],
    )
    return Standing(
        trial=trial,
        diagnosis=diagnose(answers),
        conditions=conditions,
        scopes={each.prompt_id: each for each in scopes},
    )


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
    """What a trial found, a row a principle, for the record of a report."""
    if standing is NOTHING_KNOWN or standing.trial is None:
        return []
    return [{"who": who, **to_json(each)} for each in standing.trial.abilities]
