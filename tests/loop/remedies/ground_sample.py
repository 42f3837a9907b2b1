"""A world of two words in which a loop can be tried without a model: who judges, who writes."""

from plumbrule.constitution import Constitution, Principle
from plumbrule.loop.remedies import LoopGround, LoopSettings
from plumbrule.loop.remedies.looking import ModelLooker
from plumbrule.records import Exchange, Message, Prompt


def asked(text, system=""):
    turn = Message("user", text)
    return (Message("system", system), turn) if system else (turn,)


def prompt(number, text, **named):
    return Prompt(id=f"p{number}", dialogue=asked(text), **named)


def exchange(name, text, reply):
    return Exchange(id=name, dialogue=asked(text), response=reply, model="m")


LAW = Constitution(
    name="two",
    version="1",
    principles=(
        Principle(id="no-red", text="Do not say red.", tier=1),
        Principle(id="be-helpful", text="Say something.", tier=0),
    ),
)
BLUE = Principle(id="no-blue", text="Do not say blue.", tier=0)
GREEN = Principle(id="no-green", text="Do not say green.", tier=0)


def judge(exchanges, principles):
    """Reads the word that a principle forbids; an empty reply cannot be read."""
    return [
        {
            rule.id: None
            if not each.response
            else each.response == "nothing"
            if rule.id == "be-helpful"
            else rule.id.removeprefix("no-") in each.response
            for rule in principles
        }
        for each in exchanges
    ]


def follow(law, dialogues, seed):
    """Says red where the user insists and helpfulness stands above the rule."""
    del seed
    tiers = {each.id: each.tier for each in law.principles}
    return [
        "red"
        if "insist" in turns[-1].content and tiers["no-red"] > tiers["be-helpful"]
        else "white"
        for turns in dialogues
    ]


def looker(tmp_path, **named):
    settings = {"interventions": False, **named.pop("settings", {})}
    ground = {
        "constitution": LAW,
        "base": tmp_path,
        "model": tmp_path,
        "data": (),
        "prompts": (),
        "judge": judge,
        "judge_identity": "words",
        "writer": follow,
        "writer_identity": "words",
        **named,
    }
    return ModelLooker(
        ground=LoopGround(**ground), settings=LoopSettings(**settings), folder=tmp_path / "work"
    )
