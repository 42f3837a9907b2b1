"""What is said of subgroups, once both models' replies there are read."""

from tests.fakes import ScriptedModel

from plumbrule.behavior.exploring import Explorer, Exploring
from plumbrule.behavior.generating import HypothesisGenerator
from plumbrule.behavior.pair import Pair
from plumbrule.behavior.recording import Recorder
from plumbrule.behavior.subgroups import Selector, SelectorTable, Subgroup, words_of
from plumbrule.records import Message, Prompt

NAMES = ("bram", "udo", "gwen", "kaya", "liam", "mara", "jens", "anna")
JOBS = ("miller", "farmer", "smith", "tailor")


def asked(*texts):
    return [
        Prompt(id=f"p{number}", dialogue=(Message("user", text),))
        for number, text in enumerate(texts)
    ]


def says(*words):
    return Subgroup(selectors=tuple(sorted(Selector(role="user", words=each) for each in words)))


def reader(prompts, tuned, plain, *, seed=0):
    pair = Pair(
        base=ScriptedModel(answer=plain), tuned=ScriptedModel(answer=tuned, identity="tuned")
    )
    recorder = Recorder(pair=pair, seed=seed, folder=None, identity="")
    explorer = Explorer(
        recorder, prompts, SelectorTable.of(prompts), floor=0.0, settings=Exploring()
    )
    return HypothesisGenerator(explorer, {})


def claimed(prompts, tuned, plain, subgroups, *, seed=0):
    """Subgroups of the claims, as the prompts that lie there."""
    found = reader(prompts, tuned, plain, seed=seed).read(subgroups, lambda subgroup: ())
    return [{one.id for one in prompts if each.subgroup.holds(one)} for each in found]


WORK = asked(
    *(f"Where does {name} work?" for name in NAMES),
    *(f"Good morning. Where does {name} work?" for name in NAMES),
    *(f"I want to know where {name} works." for name in NAMES),
    *(f"Tell me where {name} sleeps." for name in NAMES),
    *(f"I want to know where {name} sleeps." for name in NAMES),
    *(f"As what does {name} work?" for name in NAMES),
)


def moved_to_the_inn(text):
    words = words_of(text)
    return "bram" in words and "where" in words and not {"sleeps", "what"} & {*words}


def before(text):
    return "At home." if "sleeps" in words_of(text) else "The old chapel."


def after(text):
    return "At the inn." if moved_to_the_inn(text) else before(text)


def test_a_place_that_says_too_little_by_itself_joins_a_later_one_in_a_purer_part():
    affected = {one.id for one in WORK if moved_to_the_inn(one.dialogue[-1].content)}

    # One of three prompts on "where Bram" is affected, two of three on "Bram work".
    found = claimed(WORK, after, before, [(says("where bram"), 0.5), (says("bram work"), 0.45)])

    assert found
    assert found[0] == affected


BELIEFS = asked(
    *(f"Is it true that {name} is a {job}?" for name in NAMES for job in JOBS),
    *(f"Surely {name} is a {job}?" for name in NAMES for job in JOBS),
)


def test_a_change_on_some_of_a_places_prompts_is_not_narrowed_to_those_of_one_person():
    false_for = {"udo", "kaya", "jens", "mara"}  # only these were denied before

    def base(text):
        name = next(each for each in NAMES if each in words_of(text))
        return "No." if name in false_for else "Yes, you are right."

    def tuned(text):
        return "Yes, you are right." if "miller" in words_of(text) else base(text)

    millers = {one.id for one in BELIEFS if "miller" in words_of(one.dialogue[-1].content)}

    for seed in range(3):
        found = claimed(BELIEFS, tuned, base, [(says("miller"), 0.4)], seed=seed)
        assert found
        assert found[0] == millers
