import pytest
from tests.fakes import ScriptedModel

from plumbrule.behavior.pair import Pair
from plumbrule.behavior.recording import SHARD, Recorder
from plumbrule.errors import DataError
from plumbrule.models import Sampling, open_model
from plumbrule.records import Message, Prompt, to_json

PROMPTS = [
    Prompt(id=f"p:{number}", dialogue=(Message("user", f"Say {number}."),))
    for number in range(2 * SHARD + 20)
]
SEEDS = [number % 50 for number in range(len(PROMPTS))]


class Killed(BaseException):
    """What a kill looks like from within: nothing catches it."""


def scripted(identity, *, dies_after=None):
    """Answers with what it was asked; a mortal one dies after so many answers."""
    model = ScriptedModel(identity=identity, spec=identity)

    def answer(asked):
        if dies_after is not None and len(model.asked) > dies_after:
            raise Killed
        return f"{identity} was asked: {asked}"

    model.answer = answer
    return model


def recording(folder, *, identity="all", seed=0, dies_after=None):
    pair = Pair(base=scripted("base"), tuned=scripted("tuned", dies_after=dies_after))
    return Recorder(pair=pair, seed=seed, folder=folder, identity=identity)


def asked_of(recorder):
    return len(recorder.pair.base.asked), len(recorder.pair.tuned.asked)


def test_what_is_drawn_is_the_same_with_a_folder_and_without(tmp_path):
    kept, free = recording(tmp_path), recording(None)

    for draw in ("pairs", "ask"):
        there = getattr(kept, draw)(draw, PROMPTS, SEEDS)
        assert there == getattr(free, draw)(draw, PROMPTS, SEEDS)
        assert [one.prompt_id for one in there] == [one.id for one in PROMPTS]
        assert [one.seed for one in there] == SEEDS
    assert not list(tmp_path.glob("*.tmp"))


def test_what_was_drawn_is_read_back_and_not_drawn_again(tmp_path):
    first = recording(tmp_path).pairs("part", PROMPTS, SEEDS)
    second = recording(tmp_path)

    assert second.pairs("part", PROMPTS, SEEDS) == first
    assert asked_of(second) == (0, 0)


def test_a_killed_draw_loses_at_most_a_shard(tmp_path):
    whole = recording(None).pairs("part", PROMPTS, SEEDS)
    with pytest.raises(Killed):
        recording(tmp_path, dies_after=SHARD).pairs("part", PROMPTS, SEEDS)
    again = recording(tmp_path)

    assert again.pairs("part", PROMPTS, SEEDS) == whole
    assert asked_of(again) == (len(PROMPTS) - SHARD, len(PROMPTS) - SHARD)


def test_costs_and_texts_are_the_same_after_a_kill(tmp_path):
    def spent(recorder):
        with recorder.part("part"):
            recorder.pairs("part", PROMPTS, SEEDS)
        return recorder.costs["part"], recorder.pair.texts

    straight, texts = spent(recording(tmp_path / "a"))
    with pytest.raises(Killed):
        spent(recording(tmp_path / "b", dies_after=SHARD))

    resumed, again = spent(recording(tmp_path / "b"))

    assert (resumed.texts, resumed.calls) == (straight.texts, straight.calls)
    assert again == texts == 2 * len(PROMPTS)


def test_tokens_of_an_earlier_run_are_counted(tmp_path):
    def once():
        model = open_model("lab:pico", dtype="float32", device="cpu")
        pair = Pair(base=model, tuned=model, sampling=Sampling(max_new_tokens=4))
        recorder = Recorder(pair=pair, seed=0, folder=tmp_path, identity="")
        with recorder.part("part"):
            recorder.drafts("part", PROMPTS[:5], SEEDS[:5])
        return recorder.costs["part"]

    first, second = once(), once()

    for name in ("texts", "tokens_generated", "tokens_scored"):
        assert getattr(second, name) == getattr(first, name) > 0
        assert isinstance(getattr(second, name), int)


@pytest.mark.parametrize(
    "changes", [{"identity": "another"}, {"seed": 1}], ids=["other inputs", "other seed"]
)
def test_records_of_something_else_are_not_taken_for_these(tmp_path, changes):
    recording(tmp_path).pairs("part", PROMPTS[:3], SEEDS[:3])
    other = recording(tmp_path, **changes)

    other.pairs("part", PROMPTS[:3], SEEDS[:3])

    assert asked_of(other) == (3, 3)


def test_another_part_or_other_prompts_or_seeds_are_drawn_anew(tmp_path):
    recorder = recording(tmp_path)
    recorder.pairs("part", PROMPTS[:3], SEEDS[:3])

    recorder.pairs("other", PROMPTS[:3], SEEDS[:3])
    recorder.pairs("part", PROMPTS[1:4], SEEDS[:3])
    recorder.pairs("part", PROMPTS[:3], SEEDS[1:4])

    assert asked_of(recorder) == (12, 12)


def test_the_same_prompt_may_be_drawn_many_times(tmp_path):
    drawn = recording(tmp_path).pairs("part", PROMPTS[:1] * 5, range(5))

    assert [one.seed for one in drawn] == [0, 1, 2, 3, 4]
    assert {one.prompt_id for one in drawn} == {"p:0"}


def test_completing_asks_only_the_tuned_model(tmp_path):
    model = open_model("lab:pico", dtype="float32", device="cpu")
    pair = Pair(base=model, tuned=model, sampling=Sampling(max_new_tokens=4))
    recorder = Recorder(pair=pair, seed=0, folder=tmp_path, identity="")
    asked = recorder.ask("asked", PROMPTS[:4], SEEDS[:4])

    pairs = recorder.complete("read", asked)

    assert [one.tuned for one in pairs] == [one.base for one in pairs] == [a.base for a in asked]
    assert pair.texts == 8


def test_a_record_that_was_tampered_with_is_refused_by_name(tmp_path):
    recording(tmp_path).pairs("part", PROMPTS[:3], SEEDS[:3])
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_text(path.read_text().replace("Say 1.", "Say 7."))

    with pytest.raises(DataError, match="is not what was written there"):
        recording(tmp_path).pairs("part", PROMPTS[:3], SEEDS[:3])


def test_hostile_replies_survive_the_disk(tmp_path):
    hostile = "\u2028\u2029\x85 \x00 \"}\n{'seal': 1} </script> ../../x"

    def made():
        recorder = recording(tmp_path)
        recorder.pair.tuned.answer = lambda asked: hostile
        return recorder.pairs("part", PROMPTS[:2], SEEDS[:2])

    assert to_json(made()) == to_json(made())
    assert made()[0].tuned == hostile


def test_parts_are_accounted_apart_also_after_an_error():
    recorder = recording(None)
    with recorder.part("one"):
        recorder.pairs("one", PROMPTS[:3], SEEDS[:3])
    with recorder.part("two"):
        recorder.pairs("two", PROMPTS[:2], SEEDS[:2])
    recorder.pair.tuned = scripted("tuned", dies_after=0)
    with pytest.raises(Killed), recorder.part("two"):
        recorder.pairs("two", PROMPTS[:2], SEEDS[:2])
    recorder.pair.tuned = scripted("tuned")
    with recorder.part("one"):
        recorder.pairs("one", PROMPTS[:1], SEEDS[:1])

    assert {name: spent.texts for name, spent in recorder.costs.items()} == {"one": 8, "two": 8}
    assert all(spent.seconds > 0 for spent in recorder.costs.values())


def test_nothing_to_draw_leaves_nothing_behind(tmp_path):
    assert recording(tmp_path).pairs("part", [], []) == []
    assert list(tmp_path.iterdir()) == []
