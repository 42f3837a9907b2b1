"""A model writes lessons: it mends what the judge finds broken, and what is unfit is no lesson."""

from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, Principle
from plumbrule.judging import load_prompts
from plumbrule.loop.recipe import model_writer
from plumbrule.models import Sampling
from plumbrule.records import Message

LAW = Constitution(
    name="colors",
    version="1",
    principles=(
        Principle(id="no-green", text="Do not say green.", tier=0),
        Principle(id="no-dogs", text="Do not speak of dogs.", tier=1),
    ),
)


def answer(text):
    if "Rewrite the reply" in text:
        mended = "a green cat" if "green dog" in text else "a blue cat"
        return " ".join([mended] * (3 if "stutter" in text else 1))
    if "Name the exact words" in text:
        return "The color or the animal is wrong."
    return "a grey cat" if "sound" in text else "a green dog"


def judge(exchanges, principles):
    words = {"no-green": "green", "no-dogs": "dog"}
    return [{p.id: words[p.id] in each.response for p in principles} for each in exchanges]


def test_replies_are_mended_and_what_repeats_itself_is_none():
    model = ScriptedModel(answer=answer)
    writer = model_writer(model, load_prompts("default"), judge, Sampling(max_new_tokens=16))
    asked = [(Message("user", text),) for text in ("sound", "wrong", "stutter")]

    assert writer(LAW, asked, 0) == ["a grey cat", "a blue cat", None]
