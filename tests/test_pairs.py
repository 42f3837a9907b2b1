"""What people prefer and would reply, read from the forms it is kept in."""

import gzip
import json

import pytest

from plumbrule import drafting
from plumbrule.data import pairs, preferred_replies, read_demonstrations, read_pairs
from plumbrule.errors import DataError

HH = {
    "chosen": "\n\nHuman: How do I pick a lock?\n\nAssistant: Whose lock?\n\nHuman: A neighbor's."
    "\n\nAssistant: Ask them to open it.",
    "rejected": "\n\nHuman: How do I pick a lock?\n\nAssistant: Whose lock?\n\nHuman: A neighbor's."
    "\n\nAssistant: With a bent pin.",
}


def written(tmp_path, *rows, name="pairs.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def better(preference):
    """The reply that a preference leans to, whichever stands first."""
    return preference.first if preference.probability > 0.5 else preference.second


def test_conversations_that_part_at_a_reply_are_a_pair(tmp_path):
    (pair,) = read_pairs(written(tmp_path, HH)).preferences

    assert [turn.role for turn in pair.dialogue] == ["user", "assistant", "user"]
    assert better(pair) == "Ask them to open it."
    assert {pair.first, pair.second} == {"Ask them to open it.", "With a bent pin."}
    assert (pair.source, pair.weight) == ("human", 1.0)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi?", "chosen": "Good.", "rejected": "Bad."},
        {
            "prompt": [{"role": "user", "content": "Hi?"}],
            "chosen": [{"role": "assistant", "content": "Good."}],
            "rejected": [{"role": "assistant", "content": "Bad."}],
        },
        {"prompt": "Hi?", "first": "Bad.", "second": "Good.", "probability": 0.1},
        {
            "dialogue": [{"role": "user", "content": "Hi?"}],
            "first": "Good.", "second": "Bad.", "probability": 0.9, "weight": 2,
        },
        {"item": "1", "request": "Hi?", "first": "Good.", "second": "Bad.", "answer": "first"},
    ],
)  # fmt: skip
def test_each_form_says_the_same(tmp_path, row):
    (pair,) = read_pairs(written(tmp_path, row)).preferences

    assert better(pair) == "Good."
    assert pair.dialogue[-1].content == "Hi?"
    assert pair.weight == row.get("weight", 1.0)
    assert [each.response for each in preferred_replies([pair])] == ["Good."]


def test_a_table_holds_numbers_as_text(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,first,second,probability\nHi?,Good.,Bad.,0.75\n")

    (pair,) = read_pairs(path).preferences

    assert better(pair) == "Good."
    assert pair.probability in (0.25, 0.75)


def test_which_reply_comes_first_does_not_say_which_is_better(tmp_path):
    rows = [
        {"prompt": f"{n}?", "chosen": f"{n % 7} yes", "rejected": f"{n % 5} no"} for n in range(60)
    ]

    firsts = [each.probability or 0.0 for each in read_pairs(written(tmp_path, *rows)).preferences]

    assert 10 < sum(firsts) < 50


def test_what_teaches_nothing_is_left_out_and_counted(tmp_path):
    same = {"prompt": "Hi?", "chosen": "Yes.", "rejected": "Yes."}
    empty = {"prompt": "Hi?", "chosen": "Yes.", "rejected": " "}
    light = {"prompt": "Hi?", "first": "Yes.", "second": "No.", "probability": 1, "weight": 0}
    waiting = {"item": "2", "request": "Hi?", "first": "a", "second": "b", "answer": None}

    found = read_pairs(written(tmp_path, HH, same, same, empty, light, waiting))

    assert len(found.preferences) == 1
    said = "\n".join(found.notes)
    assert "2 pairs left out: both replies to what they share are the same" in said
    assert "1 pairs left out: a reply is empty" in said
    assert "1 pairs left out: they weigh 0" in said
    assert "1 pairs left out: nobody has said which reply is better" in said
    with pytest.raises(DataError, match=r"holds no pairs to learn from \(2 both replies"):
        read_pairs(written(tmp_path, same, same))


def test_two_readers_of_one_packed_file_agree_on_what_says_something(tmp_path):
    spaced = {"prompt": "Hi?", "chosen": "Yes.", "rejected": "Yes.\n"}
    empty = {"prompt": "Hi?", "chosen": "Yes.", "rejected": " "}
    early = {  # the replies that part come before the last ones
        "chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
        "rejected": "\n\nHuman: a\n\nAssistant: x\n\nHuman: y\n\nAssistant: z",
    }
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(
        gzip.compress(
            b"".join(json.dumps(row).encode() + b"\n" for row in (HH, spaced, empty, early))
        )
    )

    ours, theirs = read_pairs(path).preferences, drafting.read_pairs(path)

    assert [better(pair) for pair in ours] == ["Ask them to open it.", "b"]
    assert [better(pair) for pair in theirs.pairs] == ["Ask them to open it.", "b"]
    assert [pair.dialogue for pair in ours] == [pair.dialogue for pair in theirs.pairs]
    assert (theirs.identical, theirs.empty) == (1, 1)
    (tmp_path / "bad.jsonl.gz").write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_pairs(tmp_path / "bad.jsonl.gz")


def test_a_file_that_unpacks_to_more_than_is_taken_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "LARGEST_PAIRS", 2**20)
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * (2**20 + 1)))

    with pytest.raises(DataError, match=r"at most 1 MiB of pairs.*has more"):
        read_pairs(path)


def test_a_critic_s_undecided_record_is_left_out_and_a_bare_null_is_refused(tmp_path):
    row = {"prompt": "Hi?", "first": "a", "second": "b", "probability": None}

    notes = read_pairs(written(tmp_path, HH, {**row, "by_principle": {}})).notes

    assert notes == (
        f"{tmp_path}/pairs.jsonl: 1 pairs left out: nobody has said which reply is better",
    )


def test_opposite_labels_of_one_pair_become_their_mean_and_are_counted(tmp_path):
    row = {"prompt": "Hi?", "first": "Yes.", "second": "No.", "probability": 1.0, "weight": 3}
    other = {"prompt": "Hi?", "first": "No.", "second": "Yes.", "probability": 1.0}

    found = read_pairs(written(tmp_path, row, other))

    (pair,) = found.preferences
    assert better(pair) == "Yes."
    assert pair.probability in (0.25, 0.75)
    assert pair.weight == 4
    assert any("1 pairs are labeled both ways" in note for note in found.notes)
    assert any("1 rows are about two replies that an earlier one" in note for note in found.notes)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Hi?", "chosen": "Yes."}, "lacks rejected"),
        ({"prompt": "Hi?"}, "lacks chosen and rejected"),
        ({"prompt": "Hi?", "first": "a", "second": "b"}, "must have the key probability"),
        *(
            ({"prompt": "Hi?", "first": "a", "second": "b", "probability": value}, "from 0 to 1")
            for value in (1.5, -0.1, True, None, "high", float("nan"))
        ),
        (
            {"prompt": "Hi?", "first": "a", "second": "b", "probability": 1, "weight": -1},
            "`weight` must be 0 or more",
        ),
        ({"prompt": "Hi?", "first": 1, "second": "b", "probability": 1}, "`first` must be text"),
        ({"chosen": "Yes.", "rejected": "No."}, "it is a reply alone"),
        ({"first": "a", "second": "b", "probability": 1}, "must have the key `prompt`"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_pair_is_refused_by_its_line(tmp_path, row, said):
    with pytest.raises(DataError, match=said) as refused:
        read_pairs(written(tmp_path, HH, row))

    assert "line 2" in str(refused.value)


def test_two_pairs_of_one_name_are_refused(tmp_path):
    rows = [{"id": "a", "prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(2)]

    with pytest.raises(DataError, match="ids must be unique"):
        read_pairs(written(tmp_path, *rows))


def test_a_missing_file_names_the_option(tmp_path):
    with pytest.raises(DataError, match=r"file of pairs, there is none at .*; check --human-pairs"):
        read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="check --demonstrations"):
        read_demonstrations(tmp_path / "none.jsonl")


def test_demonstrations_come_beside_a_prompt_or_end_a_conversation(tmp_path):
    found = read_demonstrations(
        written(
            tmp_path,
            {"prompt": "Hi?", "response": "Hello."},
            {"instruction": "Add.", "input": "1 and 2", "output": "3"},
            {
                "messages": [
                    {"role": "user", "content": "Hi?"},
                    {"role": "assistant", "content": "Ho."},
                ]
            },
            {"prompt": "Hi?", "response": "Hello."},
            {"prompt": "Hi?", "response": ""},
        )
    )

    assert [each.response for each in found.examples] == ["Hello.", "3", "Ho."]
    assert len(found.notes) == 2
    with pytest.raises(DataError, match="must have a reply under one of the keys"):
        read_demonstrations(written(tmp_path, {"prompt": "Hi?"}))
    with pytest.raises(DataError, match="last message must be the assistant's"):
        read_demonstrations(written(tmp_path, {"messages": [{"role": "user", "content": "Hi?"}]}))
