"""Run a review, and decide on it.

The task is cut, everyone is asked, everything is written down and the verdict worked out; then
people accept a node, overrule it with a reason, or send it back.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from plumbrule.errors import ConfigError
from plumbrule.oversight.asking import Assignment, ask, not_asked
from plumbrule.oversight.cases import Case, ReviewBudget, Rule, Specialist
from plumbrule.oversight.plans import (
    Decompose,
    Level,
    cut_tasks,
    expected_jobs,
    make_manifest,
    make_plan,
    report_unasked,
    turn,
)
from plumbrule.oversight.records import (
    Action,
    Decision,
    Node,
    Outcome,
    Report,
    ReviewCost,
    Task,
    record_id,
    total,
)
from plumbrule.oversight.trail import ReviewTrail, open_trail, reopen_trail
from plumbrule.oversight.verdicts import ReviewVerdict, cost_of
from plumbrule.store import Progress, derive_seed


@dataclass(frozen=True, kw_only=True)
class Review:
    """A review as it stands."""

    root: Node
    verdict: ReviewVerdict
    head: str
    """Hash of the ledger's last entry. Kept elsewhere, it vouches for the whole review."""


def review(
    task: Task,
    sources: Mapping[str, str],
    specialists: Sequence[Specialist],
    *,
    folder: Path,
    decompose: Decompose | None = None,
    dimensions: Sequence[str] = (),
    rule: Rule | None = None,
    budget: ReviewBudget | None = None,
    depth: int = 3,
    workers: int = 2,
    timeout_seconds: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Review:
    """Judge a task by judging its parts.

    Tools are asked first, then models, then people; within each, the deepest parts first, side by
    side. A check that crashes, is declined, takes too long or does not fit the budget becomes a
    report that says so, and the whole does not pass on it.

    Args:
        task: The whole.
        sources: Texts it is about, by their ids.
        specialists: Who may be asked; tasks name them.
        folder: Where the trail is kept. The same call on the same folder goes on after a kill
            and asks nobody twice.
        decompose: Cuts a task into parts; None leaves it whole.
        dimensions: What the whole should be judged on; one that no check covers keeps it from
            passing.
        rule: How parts become a whole.
        budget: Limits of all checks together. A check whose `most` does not fit is not made.
        depth: Levels below the task that are judged; deeper parts are listed as not checked.
        workers: Checks side by side.
        timeout_seconds: Longest wait for one check; None waits forever.
        seed: Of the run; each check gets its own from it.
        progress: Told (reports done, reports in all).

    Raises:
        ConfigError: Names of specialists repeat, or a setting is out of range.
        DataError: The task points outside its sources.
        OutputError: The folder belongs to another review.
        LedgerError: The folder's ledger was tampered with.
        StorageError: The disk did not take a record; those before are kept.
    """
    if workers < 1 or (timeout_seconds is not None and timeout_seconds <= 0):
        raise ConfigError(
            f"workers must be at least 1 and a timeout above 0, got {workers} and {timeout_seconds}"
        )
    manifest = make_manifest(
        task, sources, specialists, decompose=decompose, dimensions=dimensions,
        rule=rule or Rule(), budget=budget or ReviewBudget(), depth=depth, seed=seed,
    )  # fmt: skip
    with open_trail(folder, manifest, sources) as trail:
        _plan(trail, decompose)
        _ask_all(trail, specialists, workers, timeout_seconds, progress)
        return conclude(trail)


def answer_questions(
    folder: Path,
    specialists: Sequence[Specialist],
    *,
    workers: int = 2,
    timeout_seconds: float | None = None,
    progress: Progress | None = None,
) -> Review:
    """Go on with a review from its folder alone: ask whoever a person sent a task back to.

    Args:
        folder: A review's folder.
        specialists: Who may be asked; one who is named and not here is counted as absent.
        workers: Checks side by side.
        timeout_seconds: Longest wait for one check; None waits forever.
        progress: Told (reports done, reports in all).

    Raises:
        LedgerError: There is no review here, or it was tampered with.
    """
    with reopen_trail(folder) as trail:
        _ask_all(trail, specialists, workers, timeout_seconds, progress)
        return conclude(trail)


def conclude(trail: ReviewTrail) -> Review:
    """Work out the verdict on what is recorded so far, and record it."""
    verdict = trail.records.derive()
    if all(each.basis != verdict.basis for each in trail.records.verdicts):
        trail.record(verdict)
    return Review(root=trail.records.tree, verdict=verdict, head=trail.ledger.head.hash)


def _plan(trail: ReviewTrail, decompose: Decompose | None) -> None:
    """Cut tasks until nothing is left to cut or the depth is reached; what is planned stays."""
    manifest, levels = trail.records.manifest, trail.records.levels
    tasks, depth = [manifest.task], 0
    while tasks:
        if depth == len(levels):
            plans = [
                make_plan(task, decompose, trail.sources, cut=depth >= manifest.depth)
                for task in tasks
            ]
            trail.record(Level(review_id=manifest.review_id, depth=depth, plans=tuple(plans)))
        tasks = [part for plan in levels[depth].plans if not plan.cut for part in plan.parts]
        depth += 1


def _ask_all(
    trail: ReviewTrail,
    specialists: Sequence[Specialist],
    workers: int,
    timeout_seconds: float | None,
    progress: Progress | None,
) -> None:
    """Make every report that is called for and not there yet."""
    records, known = trail.records, {each.name: each for each in specialists}
    _check_kinds(trail, known)
    jobs = expected_jobs(records.tree, records.plans, review_id=records.manifest.review_id)
    there = {(each.task_id, each.specialist, each.round) for each in records.reports}
    pending = [job for job in jobs if (job.task_id, job.specialist, job.round) not in there]
    cut = cut_tasks(records.plans)
    open_jobs = []
    for job in pending:
        report = report_unasked(
            job, known.get(job.specialist), records.plans, cut, depth=records.manifest.depth
        )
        if report is None:
            open_jobs.append(job)
        else:
            trail.record(report)

    def rank(job: Assignment) -> tuple[int, int, int]:
        return turn(job, known[job.specialist])

    with ThreadPoolExecutor(workers, thread_name_prefix="review") as pool:
        for _, group in groupby(sorted(open_jobs, key=rank), key=rank):
            for report in _side_by_side(list(group), known, trail, pool, workers, timeout_seconds):
                trail.record(report)
                if progress:
                    progress(len(records.reports), len(jobs))


def _check_kinds(trail: ReviewTrail, known: Mapping[str, Specialist]) -> None:
    """A model that comes back as a tool would weigh what only tools weigh."""
    for each in trail.records.manifest.specialists:
        if each.name in known and known[each.name].kind != each.kind:
            raise ConfigError(
                f"{each.name} was a {each.kind} when the review began, and is a "
                f"{known[each.name].kind} now; give the specialist it was"
            )


def _side_by_side(
    jobs: Sequence[Assignment],
    known: Mapping[str, Specialist],
    trail: ReviewTrail,
    pool: ThreadPoolExecutor,
    workers: int,
    timeout_seconds: float | None,
) -> Iterator[Report]:
    """Ask for reports of one group, letting each in once the budget is sure to bear it.

    Checks are let in strictly in order, and one is turned away only when none before it is under
    way; so which ones are cut depends on the costs and not on the timing of threads.
    """
    budget, root = trail.records.manifest.budget, trail.records.tree
    nodes = {node.task.id: node for node in root.walk()}
    spent, running = cost_of(root), dict[Future[Report], ReviewCost]()

    def finished() -> Iterator[Report]:
        nonlocal spent
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            del running[future]
            report = future.result()
            spent += report.cost
            yield report

    for job in jobs:
        specialist = known[job.specialist]
        while running and (
            len(running) >= workers
            or budget.refuses(specialist.most, total([spent, *running.values()]))
        ):
            yield from finished()
        refused = budget.refuses(specialist.most, total([spent, *running.values()]))
        if refused:
            yield not_asked(specialist, job, f"the budget: {'; '.join(refused)}", "budget")
            continue
        case = _case(job, nodes[job.task_id], trail)
        future = pool.submit(ask, specialist, case, job, timeout_seconds=timeout_seconds)
        running[future] = specialist.most
    while running:
        yield from finished()


def _case(job: Assignment, node: Node, trail: ReviewTrail) -> Case:
    questions = {each.id: each.text for each in node.decisions}
    return Case(
        task=node.task,
        sources=trail.sources,
        reports=tuple(report for each in node.walk() for report in each.current),
        question=None if job.answers is None else questions[job.answers],
        seed=derive_seed(trail.records.manifest.seed, job.task_id, job.specialist, job.round),
    )


def accept(
    folder: Path, task_id: str, *, person: str, remark: str = "", human_minutes: float = 0.0
) -> Review:
    """Sign the verdict of a node; the signature lapses when anything beneath changes.

    Args:
        folder: The review's folder.
        task_id: Which node; the root's for the whole.
        person: Who accepts.
        remark: What to say along with it.
        human_minutes: What reading took.

    Raises:
        ConfigError: There is no such node, or no name.
        LedgerError: There is no review here, or it was tampered with.
    """
    return _decide(folder, task_id, person, "accept", None, remark, (), human_minutes)


def overrule(
    folder: Path,
    task_id: str,
    outcome: Outcome,
    *,
    person: str,
    reason: str,
    human_minutes: float = 0.0,
) -> Review:
    """Overrule the verdict of a node, for as long as what lies beneath stays the same.

    Args:
        folder: The review's folder.
        task_id: Which node.
        outcome: `pass`, `fail` or `uncertain`.
        person: Who overrules.
        reason: Why; recorded with the verdict.
        human_minutes: What deciding took.

    Raises:
        ConfigError: There is no such node, or no name.
        DataError: No reason, or an outcome nobody can set.
        LedgerError: There is no review here, or it was tampered with.
    """
    return _decide(folder, task_id, person, "overrule", outcome, reason, (), human_minutes)


def send_back(
    folder: Path,
    task_id: str,
    question: str,
    *,
    person: str,
    to: Sequence[str] | None = None,
    human_minutes: float = 0.0,
) -> Review:
    """Ask again, with a question; `answer_questions` then gets the new reports.

    Until everyone asked has answered, the node does not pass. A new report must hold the question
    in its rationale, or it counts as not checked.

    Args:
        folder: The review's folder.
        task_id: Which node.
        question: What the new reports must speak to.
        person: Who asks.
        to: Names of those of the node's specialists who are to answer; None for all of them.
        human_minutes: What reading took.

    Raises:
        ConfigError: There is no such node, nobody there to ask, or no name.
        DataError: No question.
        LedgerError: There is no review here, or it was tampered with.
    """
    return _decide(folder, task_id, person, "send back", None, question, to, human_minutes)


def _decide(
    folder: Path,
    task_id: str,
    person: str,
    action: Action,
    outcome: Outcome | None,
    text: str,
    to: Sequence[str] | None,
    human_minutes: float,
) -> Review:
    if not person.strip():
        raise ConfigError("a decision carries the name of the person who made it, got none")
    with reopen_trail(folder) as trail:
        node = _node(trail, task_id)
        asked = _asked(node, to) if action == "send back" else ()
        decision = Decision(
            id="",
            review_id=trail.records.manifest.review_id,
            task_id=task_id,
            number=len(trail.records.decisions) + 1,
            person=person,
            action=action,
            outcome=outcome,
            text=text,
            asked=asked,
            basis=node.basis,
            human_minutes=human_minutes,
        )
        trail.record(replace(decision, id=record_id(decision)))
        return conclude(trail)


def _node(trail: ReviewTrail, task_id: str) -> Node:
    nodes = {node.task.id: node for node in trail.records.tree.walk()}
    if task_id not in nodes:
        raise ConfigError(f"no node {task_id!r} in this review; there are {', '.join(nodes)}")
    return nodes[task_id]


def _asked(node: Node, to: Sequence[str] | None) -> tuple[str, ...]:
    there = node.task.specialists
    asked = there if to is None else tuple(dict.fromkeys(to))
    strangers = [name for name in asked if name not in there]
    if strangers or not asked:
        raise ConfigError(
            f"{node.task.id} can be sent back to its specialists: {', '.join(there) or 'none'}; "
            f"got {', '.join(asked) or 'nobody'}"
        )
    return asked
