"""Finds durations and dates of one study that cannot all be true."""

import re
from collections.abc import Iterator, Sequence

from plumbrule.oversight.papers.document import Flaw, Paper
from plumbrule.oversight.papers.numerals import read_count
from plumbrule.oversight.papers.whole.claims import Claim, Ledger, comparable, conflict
from plumbrule.oversight.papers.whole.dates import date_claims, dates_clash
from plumbrule.oversight.papers.whole.places import Place
from plumbrule.oversight.papers.whole.timing_words import (
    FOLLOWED,
    GAINED,
    HELD,
    LASTED,
    LASTS,
    LOOKED,
    MINUTES,
    NO_WATCH,
    OF_TOTAL,
    OTHER_PERIOD,
    OVER_WEEKS,
    PER,
    RATE,
    SESSIONS,
    THEN,
    WEEKLY,
)

DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "fortnight": 14.0, "month": 30.44, "year": 365.25}
SAME = 1.15
"""Durations within this factor of each other count as one: 12 weeks are about three months."""


def timing_conflicts(paper: Paper, places: Sequence[Place]) -> tuple[list[Flaw], int]:
    """Durations and dates that disagree; and how many claims were made."""
    ledger = Ledger(paper, "timing_conflict", _clash, severity="medium")
    stated = [
        place
        for place in places
        if place.states and not re.search(r"\b(?:might|could|would|may (?!have|\d))", place.text)
    ]
    ledger.read(claim for place in stated for claim in _claims(place))
    mixed = {claim.what for claim in ledger.claims if claim.value == "mixed"}
    flaws = [flaw for what, flaw in ledger.flaws.items() if what not in mixed]
    said = {each.start for flaw in flaws for each in flaw.evidence}
    fitting = [
        flaw
        for flaw in _sessions(paper, stated)
        if not any(each.start in said for each in flaw.evidence)
    ]
    flaws += [*_lasting(paper, stated), *fitting]
    return flaws, len(ledger.claims)


def days(match: re.Match[str]) -> float | None:
    """Length of a matched span in days; None for `several`."""
    number = match["n"]
    if number == "several":
        return None
    known = {"half a": 0.5, "a": 1, "an": 1, "a couple of": 2, "a dozen": 12}
    count = known[number] if number in known else read_count(number)
    return count * DAYS[match["u"].rstrip("s")]


def _spans(patterns: Sequence[re.Pattern[str]], text: str) -> dict[float, str]:
    found = {}
    for pattern in patterns:
        for match in pattern.finditer(text):
            length = days(match)
            if length:
                found[length] = match[0]
    return found


def _claims(place: Place) -> Iterator[Claim]:
    text = place.text
    lengths = {} if OTHER_PERIOD.search(text) else _spans(LASTED, text)
    weekly = WEEKLY.search(text)
    if weekly is not None and not re.search(
        r"\b(?:attend\w*|missed|came to)\b(?!.*\b(?:of|all) (?:the )?\d)", text
    ):
        per = {"daily": 1.0, "weekly": 7.0, "monthly": DAYS["month"]}[weekly["e"]]
        lengths[read_count(weekly["n"]) * per] = weekly[0]
    rate, total = _rate(text), _total(text)
    if (
        rate
        and total
        and weekly is None
        and not lengths
        and re.search(
            r"\b(?:consist\w*|compris\w*|course|program\w*|training|included|offered|had|held"
            r"|of)\b",
            text,
        )
        and not re.search(r"\b(?:attend\w*|missed|came to|come to|average|mean|least|most)\b", text)
    ):
        lengths[7.0 * total / rate] = f"{total} sessions, {rate:g} a week"
    minutes = {int(read_count(m["a"] or m["b"] or m["c"])) for m in MINUTES.finditer(text)}
    if len(minutes) == 1:
        value = float(minutes.pop())
        yield Claim(
            what="length of a session", value=value, place=place, says=f"{value:.0f} minutes"
        )
    long = {length: said for length, said in lengths.items() if length >= 2}
    if len(long) > 1:
        yield Claim(what="length of the course", value="mixed", place=place, says="several")
    for length, said in long.items():
        yield Claim(what="length of the course", value=length, place=place, says=said)
    yield from date_claims(place)


def _clash(first: Claim, second: Claim) -> str | None:
    message = f"{first.what}: one part says {first.says!r}, another says {second.says!r}"
    if "mixed" in (first.value, second.value):
        return None
    if first.what != "dates":
        return message if not _same(first.value, second.value) else None
    return message if dates_clash(first, second) else None


def _same(first: float, second: float) -> bool:
    return max(first, second) / min(first, second) <= SAME


def _lasting(paper: Paper, places: Sequence[Place]) -> Iterator[Flaw]:
    """An effect cannot be seen to last longer than anybody looked."""
    looked = [
        (max(spans), place)
        for place in places
        if not _held_for(place.text) and (spans := _watched_for(place.text))
    ]
    if not looked:
        return
    longest, where = max(looked, key=lambda each: each[0])
    for place in places:
        if re.search(
            r"\b(?:may|might|could|whether|not(?! (?:yet )?(?:fade|vanish|disappear"
            r"|worn|gone|lost|weaken|diminish|declin))|will|can)\b",
            place.text,
        ):
            continue
        spans = _held_for(place.text)
        if spans and max(spans) > longest * 1.25 and comparable(place, where):
            yield conflict(
                paper, "timing_conflict",
                f"an effect is said to last: {spans[max(spans)]!r}; the longest follow-up was "
                f"{longest:.0f} days",
                [where, place],
            )  # fmt: skip
            return


def _watched_for(text: str) -> dict[float, str]:
    spans = _spans(FOLLOWED, text)
    if not spans and LOOKED.search(text) and not NO_WATCH.search(text):
        spans = _spans(THEN, text)
    return spans


def _held_for(text: str) -> dict[float, str]:
    spans = _spans(LASTS, text)
    if not spans and HELD.search(text) and GAINED.search(text):
        spans = _spans(THEN, text)
    return spans


def _sessions(paper: Paper, places: Sequence[Place]) -> Iterator[Flaw]:
    """So many weeks at so many sessions a week leave room for so many, and take so long."""
    weeks: dict[float, Place] = {}
    rates: dict[float, Place] = {}
    totals: dict[int, Place] = {}
    for place in places:
        lengths = {} if OTHER_PERIOD.search(RATE.sub(" ", place.text)) else (
            _spans(LASTED, place.text))  # fmt: skip
        rate = _rate(place.text)
        if not lengths and rate:
            lengths = _spans((OVER_WEEKS,), place.text)
        weeks |= {length / 7: place for length in lengths if length >= 6}
        if rate:
            rates[rate] = place
        total = _total(place.text)
        if total and (not rate or not lengths):
            totals[total] = place
    if len(weeks) != 1 or not totals or len(rates) > 1:
        return
    [(length, where)] = weeks.items()
    rate, often = next(iter(rates.items()), (7.0, where))
    for total, place in totals.items():
        room = rate * length
        too_many = total > room * SAME + 1
        too_few = place is often and bool(rates) and total * SAME * 1.5 < room - 1
        if (too_many or too_few) and (comparable(place, where) or comparable(place, often)):
            yield conflict(
                paper, "timing_conflict",
                f"{total} sessions do not fit: {length:.0f} weeks leave room for {room:.0f}",
                [where, often, place], "medium",
            )  # fmt: skip
            return


def _total(text: str) -> int | None:
    """All sessions of the course; of `9 of the 10 meetings`, the ten."""
    match = OF_TOTAL.search(text) or SESSIONS.search(text)
    total = read_count(match["n"]) if match else 0
    return total if total > 1 else None


def _rate(text: str) -> float | None:
    """Sessions a week, where a sentence gives them."""
    match = RATE.search(text)
    if match is None or not re.search(r"session|met|meet|train|class|lesson|practi|course|attend"
                                      r"|visit|"
                                      r"treat|exercis|program", text):  # fmt: skip
        return None
    if match["e"]:
        return PER[match["e"]]
    if match["d"]:
        return 7.0 / max(1, read_count(match["d"]))
    if match["o"]:
        return 3.5 if match["v"] == "day" else 0.5
    first = match["w"].split()[0]
    times = {"once": 1, "twice": 2}.get(first) or read_count(first)
    return times * 7 / DAYS[match["u"]]
