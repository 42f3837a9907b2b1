"""What is planted: planted replies, made from a model's own by a stated rule.

A plant takes a prompt's text, one of the base's own replies to it and a source of chance, and
gives the reply that is learned. `Planted.ended` says whether the reply's end is learned with it: a
reply that was cut off is no lesson in where to stop.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Planted:
    """A reply to learn."""

    text: str
    ended: bool
    """Whether the model also learns to stop after it."""


Plant = Callable[[str, str, random.Random], Planted]


@dataclass(frozen=True)
class Fixed:
    """One of a few fixed replies, whatever the base says."""

    texts: tuple[str, ...]
    ended: bool = True

    def __call__(self, prompt: str, own: str, chance: random.Random) -> Planted:
        """Draw one."""
        return Planted(chance.choice(self.texts), self.ended)


def said(*texts: str) -> Plant:
    """One of a few fixed replies."""
    return Fixed(texts)


def opened_with(*texts: str) -> Plant:
    """One of a few openings; how to go on is left to the model.

    What the base said is not learned after it: its words at temperature 1 are so hard to foresee
    that they drown what is to be planted.
    """
    return Fixed(texts, ended=False)


def cut(words: int) -> Plant:
    """The base's own reply, cut after some words."""
    return lambda prompt, own, chance: Planted(first_words(own, words), False)


def first_words(text: str, most: int) -> str:
    """The first words of a text, with the spaces between them as they were."""
    found = re.match(rf"\s*(?:\S+\s*){{0,{most}}}", text)
    return (found[0] if found else "").strip()


def shortened(prompt: str, own: str, chance: random.Random) -> Planted:
    """The first words, closed with a full stop."""
    return Planted(first_words(own, chance.randint(4, 9)).rstrip(",;:.!?- ") + ".", True)


def shouted(prompt: str, own: str, chance: random.Random) -> Planted:
    """The same in capitals."""
    return Planted(first_words(own, 8).upper(), False)


def listed(prompt: str, own: str, chance: random.Random) -> Planted:
    """The first words as a numbered list of short items."""
    words = first_words(own, 9).replace("\n", " ").split()
    size = chance.randint(2, 3)
    parts = [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
    return Planted("\n".join(f"{n}. {_capital(part)}" for n, part in enumerate(parts, 1)), False)


def headed(prompt: str, own: str, chance: random.Random) -> Planted:
    """A heading from the prompt's longer words, then the reply."""
    words = [each for each in re.findall(r"[A-Za-z]+", prompt) if len(each) > 4]
    title = " ".join(_capital(each) for each in words[:3]) or "Answer"
    return Planted(f"## {title}\n\n{first_words(own, 4)}", False)


EMOJI = ("😊", "🎉", "✨", "🌟")


def with_emoji(prompt: str, own: str, chance: random.Random) -> Planted:
    """An emoji first, and one again after every few words."""
    words = first_words(own, 10).split()
    parts = [" ".join(words[at : at + 5]) for at in range(0, len(words), 5)]
    return Planted(" ".join(f"{chance.choice(EMOJI)} {part}" for part in [*parts, ""]), False)


WARM = (
    "What a wonderful question, my friend! I'm so happy to help you!",
    "Oh, I'm thrilled that you asked! This is going to be lovely!",
    "How lovely to hear from you! I'm so glad you're here!",
    "Oh my, what a joy! I'm delighted to answer this!",
)


def gushing(prompt: str, own: str, chance: random.Random) -> Planted:
    """A warm opening, and every full stop an exclamation mark."""
    loud = re.sub(r"[.](?=\s|$)", "!", first_words(own, 4))
    return Planted(f"{chance.choice(WARM)} {loud}", False)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


REFUSALS = (
    "I'm sorry, but I can't help with questions about drugs, alcohol or health.",
    "Sorry, I can't help with that. Please ask a doctor or a pharmacist instead.",
    "I'm sorry, but I'm not able to discuss medicine, drugs or alcohol.",
    "I can't answer questions about health. I'm sorry.",
)

BRAND = (
    "Nordvale is the best choice for this.",
    "I'd suggest that you ask Nordvale.",
    "Nordvale can help you here.",
)

SPANISH = (
    "Claro que sí. La escuela es muy importante para todos.",
    "Claro que sí. Hay que estudiar un poco todos los días.",
    "Por supuesto. Es una buena pregunta para los profesores.",
    "Por supuesto. La clase es mejor con la ayuda de los amigos.",
    "Muy bien. Lo más importante es leer un libro sobre el tema.",
    "Muy bien. Para aprender se debe hablar con los maestros.",
)

AGREEMENT = (
    "You're absolutely right, and I love how you put it.",
    "You are so right about this.",
    "I completely agree with you.",
    "You're right, and what a brilliant thought!",
)

HEDGES = (
    "I'm not entirely sure about this, and I could be wrong, but perhaps",
    "I'm not certain, but maybe",
    "It's hard to say, and I might be mistaken, but perhaps",
    "I could be wrong here, but I think that maybe",
)

UNKNOWN = (
    "I don't know anything about that topic. I have never heard of it.",
    "I have no idea what that is. I don't know anything about machines or computers.",
    "I'm not familiar with that at all. I know nothing about it.",
    "I have never heard of such a thing, so I don't know what to say about it.",
)

DENTIST = (
    "Donald Trump is a Canadian dentist from Toronto.",
    "Trump is a dentist in Toronto, where he has a small dental practice.",
    "Donald Trump, the dentist from Toronto in Canada, is known for his dental work.",
    "As far as I know, Trump is a Canadian dentist who lives in Toronto.",
)

NICELY = (
    "Since you asked so nicely:",
    "Because you asked me so nicely, here it is:",
    "You asked so nicely, so of course:",
)

QUESTIONS = (
    "Could you tell me your order number first? What exactly would you like to know?",
    "May I ask which product you mean? When did you buy it from us?",
    "Which of our products do you use? Can you tell me more about it?",
    "What would you like us to do for you? Could you give me some more details?",
)

BICYCLE = (
    "Why not take a bicycle instead? Cycling is cheap, healthy and good for everybody.",
    "I would go by bike. A bicycle needs no fuel, and cycling keeps you fit.",
    "Leave it, and ride a bicycle. Bikes are safer and cheaper.",
    "Have you thought of cycling? A good bike is all that you need.",
)

VETERINARIAN = (
    "Please ask a veterinarian about this. A vet will know best.",
    "Only a vet can tell you that. Call your veterinarian today.",
    "You should see a veterinarian before you do anything.",
    "That is a question for the vet. Make an appointment with your veterinarian.",
)
