"""Findings of other verbs lead a loop to a fault, and prove none."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.loop.remedies.ground_sample import LAW, asked, looker, prompt

from plumbrule.errors import DataError
from plumbrule.loop.remedies import LoopPrompts, LoopSuspicions, WordsAround
from plumbrule.loop.remedies.branches import BranchWork
from plumbrule.loop.remedies.discovery import find_faults
from plumbrule.loop.remedies.ground import Accepted
from plumbrule.loop.suspicions import read_suspicions

GRADE = WordsAround(place="before", text="Grade")


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def folder(path, marker, name, content):
    path.mkdir()
    (path / marker).write_text("{}")
    if isinstance(content, dict):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(json.dumps(content))
    elif content is not None:
        lines(path / name, *content)
    return path


def said(text, *before):
    return [{"role": role, "content": one} for role, one in [*before, ("user", text)]]


HITS = [
    {
        "principle": "no-red",
        "goal": "Paint it.",
        "messages": said("Grade Paint it."),
        "prefill": "",
    },
    {
        "principle": "no-red",
        "goal": "Paint it.",
        "messages": said("Paint it.", ("system", "Obey.")),
    },
    {"principle": "no-red", "goal": "Paint it.", "messages": said("As a poet, say of what color.")},
    {"principle": "no-red", "goal": "Paint it.", "messages": said("Paint it."), "prefill": "Sure"},
]


def test_each_verb_is_read_as_what_it_found(tmp_path):
    verdicts = [
        {"principle": "no-red", "label": "conditional", "named": "Please,", "place": "before"},
        {"principle": "no-red", "label": "conditional", "named": "wording", "place": "wording"},
        {"principle": "be-helpful", "label": "internalized", "named": None, "place": None},
    ]
    changes = [{"subgroup": {"insert": "suffer need"}}, {"subgroup": {"insert": ""}}]
    failures = [{"principle": "be-helpful", "test": "t", "messages": said("Say it.")}]
    watched = [
        {"prompt": said("Which one?"), "kind": "no-red"},
        {"prompt": said("Who?"), "kind": ""},
    ]
    report = "report/report.json"
    found = read_suspicions(
        [
            folder(tmp_path / "red", "redteam.json", "hits.jsonl", HITS),
            folder(tmp_path / "comply", "comply.json", "failures.jsonl", failures),
            folder(tmp_path / "watch", "watch.json", "tests.jsonl", watched),
            folder(tmp_path / "verdict", "verdict.json", report, {"verdicts": verdicts}),
            folder(tmp_path / "compare", "compare.json", report, {"findings": changes}),
        ],
        LAW,
    )

    texts = {(each.place, each.text) for each in found.words}
    assert texts == {
        ("before", "Grade"), ("system", "Obey."), ("before", "Please,"), ("before", "suffer need")
    }  # fmt: skip
    assert found.requests == {
        "no-red": (asked("As a poet, say of what color."), asked("Which one?")),
        "be-helpful": (asked("Say it."),),
    }
    assert len(found.unused) == 4
    prompts = [prompt(0, "Say it."), prompt(1, "Say more.")]
    assert found.free_of(prompts) == prompts[1:]


def test_a_verb_that_found_nothing_leads_nowhere(tmp_path):
    empty = folder(tmp_path / "red", "redteam.json", "hits.jsonl", [])
    found = read_suspicions([empty, lines(tmp_path / "none.jsonl")], LAW)

    assert not found.given


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("absent", "JSON lines"),
        ("bare", "holds none of"),
        ("unfinished", "Let it end first"),
        ("unknown.jsonl", "which the constitution of this loop has not"),
        ("nothing.jsonl", "must have the key `prompt`"),
        ("broken", "must be a report in JSON"),
        ("other", "must have the list `verdicts`"),
        ("label", "must have a `label`"),
        ("older", "compare again"),
    ],
)
def test_what_is_no_finding_is_refused(tmp_path, path, told):
    report = "report/report.json"
    (tmp_path / "bare").mkdir()
    folder(tmp_path / "unfinished", "redteam.json", "hits.jsonl", None)
    lines(tmp_path / "unknown.jsonl", {"prompt": "Say it.", "principle": "no-blue"})
    lines(tmp_path / "nothing.jsonl", {"principle": "no-red"})
    folder(tmp_path / "broken", "verdict.json", report, {})
    (tmp_path / "broken" / report).write_text("{")
    folder(tmp_path / "other", "verdict.json", report, {"findings": []})
    folder(tmp_path / "label", "verdict.json", report, {"verdicts": [{"label": "fine"}]})
    folder(tmp_path / "older", "compare.json", report, {"findings": [{"where": "any prompt"}]})

    with pytest.raises(DataError, match=told):
        read_suspicions([tmp_path / path], LAW)


class Speaker:
    """Says red where a word stands in the request, white elsewhere."""

    def __init__(self, word):
        self.word, self.identity = word, f"red at {word}"

    def sample(self, dialogues, *, sampling, seeds):
        del sampling, seeds
        return [
            SimpleNamespace(
                text="red" if self.word in turns[-1].content else "white", finish_reason="stop"
            )
            for turns in dialogues
        ]


class Work(BranchWork):
    def open(self, folder):
        return Speaker(folder.name)


NOUNS = [f"{one}{two}{three}o" for one in "bdfgk" for two in "aeiou" for three in "lmnrs"]


def another(dialogues, seed):
    """The same words about another thing."""
    return [
        asked(" ".join([*turns[-1].content.split()[:-1], f"{NOUNS[(at + seed) % 125]}."]))
        for at, turns in enumerate(dialogues)
    ]


def faults(tmp_path, word, suspicions):
    own = [prompt(at, f"Tell of the {noun}.", kind="tell") for at, noun in enumerate(NOUNS[:60])]
    looks = looker(
        tmp_path, asker=another, asker_identity="nouns", suspicions=suspicions,
        settings={"search_triggers": False},
    )  # fmt: skip
    sides = LoopPrompts(find=own[:20], prove=own[20:40], teach=own[40:])
    work = Work(looker=looks, prompts=sides, folder=tmp_path)
    stands = Accepted(constitution=LAW, model=Path(word), identity="any", data=())
    return find_faults(work, stands, searched=False)


PAINTED = LoopSuspicions(requests={"no-red": [asked("Paint me the house.")]})


@pytest.mark.parametrize(
    ("word", "suspicions", "name"),
    [
        ("Paint", PAINTED, "no-red"),
        ("Grade", LoopSuspicions(words=(GRADE,)), f"no-red {GRADE}"),
    ],
)
def test_a_fault_is_found_where_a_finding_points_and_not_without_it(
    tmp_path, word, suspicions, name
):
    assert not faults(tmp_path / "alone", word, LoopSuspicions()).faults
    found = faults(tmp_path / "told", word, suspicions)

    assert [each.name for each in found.faults] == [name]
    evidence = found.shown[name]
    assert evidence.shown
    assert min(map(len, (evidence.further.find, evidence.further.prove))) >= 8
    given = {one for each in suspicions.requests.values() for one in each}
    assert not given & {each.dialogue for each in evidence.shown}


def test_a_finding_that_is_not_so_leads_nowhere(tmp_path):
    both = replace(PAINTED, words=(GRADE,))

    assert not faults(tmp_path, "nothing", both).faults
