"""Ask one specialist and get a report whatever happens: a crash is counted, never a pass."""

import queue
import threading
import time
from dataclasses import dataclass, replace

from plumbrule.errors import AccessError, OutsideError
from plumbrule.oversight.cases import Case, Specialist, is_verbatim
from plumbrule.oversight.records import Failure, Kind, Opinion, Report, ReviewCost, record_id
from plumbrule.records import from_json, to_json

LONGEST_REASON = 500
"""Characters kept of what a crash says."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One specialist to be asked about one task."""

    review_id: str
    task_id: str
    specialist: str
    round: int = 0
    answers: str | None = None
    """Id of the decision that sent the task back."""


def ask(
    specialist: Specialist, case: Case, job: Assignment, *, timeout_seconds: float | None
) -> Report:
    """Ask, measure the time, and look at the answer before believing it.

    Args:
        specialist: Who is asked.
        case: About what.
        job: Where the report belongs.
        timeout_seconds: Longest wait. A thread cannot be stopped from outside, so a check that
            takes longer is left to itself and its answer, if any comes, is not used.

    Returns:
        The specialist's report; or one with the verdict `not checked` and a reason where it
        crashed, declined, took too long, quoted what is not there, or ignored the question.

    Raises:
        OutsideError: A part outside failed, such as an endpoint that is down. Nothing is
            recorded of this check, so the same review asks again.
        AccessError: An endpoint takes nothing: its address, key or form is wrong. The same holds.
    """
    answers: queue.SimpleQueue[Opinion | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(specialist.check(case))
        except BaseException as error:  # sys.exit() too: else nobody would ever answer
            answers.put(error)

    started = time.perf_counter()
    threading.Thread(target=work, daemon=True, name=f"check-{specialist.name}").start()
    try:
        answer = answers.get(timeout=timeout_seconds)
    except queue.Empty:
        reason = f"no answer within {timeout_seconds} seconds"
        return _report(specialist, job, missed(reason, "timeout", cost=specialist.most), started)
    return report_answer(specialist, case, job, answer, started)


def report_answer(
    specialist: Specialist, case: Case, job: Assignment, answer: object, started: float
) -> Report:
    """The report that an answer makes, or that says why it makes none; raises as `ask` does.

    Args:
        specialist: Who was asked.
        case: About what.
        job: Where the report belongs.
        answer: An opinion, an exception, or whatever else came back.
        started: When the question was put, by the performance counter.
    """
    if isinstance(answer, OutsideError | AccessError):
        raise answer
    if isinstance(answer, BaseException):
        answer = missed(f"it crashed: {_one_line(answer)}", "error")
    elif not isinstance(answer, Opinion):
        answer = missed(f"it returned {type(answer).__name__}, not an opinion", "error")
    try:
        return _report(specialist, job, _examined(answer, case), started)
    except Exception as error:  # a field of another type than declared, or a value out of range
        answer = missed(f"its answer is no report: {_one_line(error)}", "error")
        return _report(specialist, job, answer, started)


def missed(reason: str, failure: Failure, *, cost: ReviewCost | None = None) -> Opinion:
    """What stands in place of a check that did not take place."""
    return Opinion(
        verdict="not checked",
        rationale=reason,
        confidence_reason="nothing was checked",
        not_checked=(reason,),
        failure=failure,
        cost=cost or ReviewCost(),
    )


def not_asked(
    specialist: Specialist | None, job: Assignment, reason: str, failure: Failure
) -> Report:
    """Report of a check that was never started."""
    return to_report(
        missed(reason, failure),
        job,
        version="none" if specialist is None else specialist.version,
        kind="tool" if specialist is None else specialist.kind,
    )


def to_report(opinion: Opinion, job: Assignment, *, version: str, kind: Kind) -> Report:
    """An opinion with its place in the review.

    Raises:
        DataError: The opinion does not hold what a report must.
    """
    given = opinion.confidence is not None
    report = Report(
        id="",
        review_id=job.review_id,
        task_id=job.task_id,
        specialist=job.specialist,
        version=version,
        kind=kind,
        round=job.round,
        answers=job.answers,
        verdict=opinion.verdict,
        confidence=opinion.confidence,
        confidence_reason=None if given else opinion.confidence_reason,
        rationale=opinion.rationale,
        evidence=tuple(opinion.evidence),
        flaws=tuple(opinion.flaws),
        not_checked=tuple(opinion.not_checked),
        failure=opinion.failure,
        cost=opinion.cost,
    )
    return replace(report, id=record_id(report))


def _report(specialist: Specialist, job: Assignment, opinion: Opinion, started: float) -> Report:
    seconds = time.perf_counter() - started
    cost = replace(opinion.cost, seconds=seconds)
    report = to_report(
        replace(opinion, cost=cost), job, version=specialist.version, kind=specialist.kind
    )
    # Read back: what cannot be written and read again is no report, and this is the place to see.
    return from_json(Report, to_json(report), origin=f"the answer of {specialist.name}")


def _examined(opinion: Opinion, case: Case) -> Opinion:
    """The opinion, or why it cannot be used."""
    if opinion.failure is not None or opinion.verdict == "not checked":
        reasons = tuple(opinion.not_checked) or (opinion.rationale or "it gave no reason",)
        return replace(opinion, verdict="not checked", not_checked=reasons)
    invented = [quote for quote in opinion.evidence if not is_verbatim(quote, case.sources)]
    if invented:
        first = invented[0]
        reason = (
            f"{len(invented)} of {len(opinion.evidence)} quotes are not where it says, the "
            f"first at {first.start} to {first.end} of {first.source!r}; its verdict "
            f"{opinion.verdict!r} is not used"
        )
        return missed(reason, "evidence", cost=opinion.cost)
    if case.question is not None and _words(case.question) not in _words(opinion.rationale):
        reason = (
            f"it does not speak to the question {case.question!r}; it says: "
            + (opinion.rationale[:LONGEST_REASON])
        )
        return missed(reason, "question", cost=opinion.cost)
    return opinion


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _one_line(error: BaseException) -> str:
    line = " ".join(f"{type(error).__name__}: {error}".split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line.encode("utf-8", "replace").decode()[:LONGEST_REASON]
