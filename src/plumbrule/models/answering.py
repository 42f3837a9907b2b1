"""All that is kept of a server's answer."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FILTERED = "content_filter"
"""How a reply ended that a filter withheld, whatever the server calls it."""


class _AnswerPart(BaseModel):
    """What is kept of a part of an answer."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class TopToken(_AnswerPart):
    """One token the server could have written, with its natural log-probability."""

    token: str
    logprob: float


class AnswerToken(TopToken):
    """One token it wrote, and the likeliest ones at that place."""

    top_logprobs: list[TopToken] = []


class AnswerTokens(_AnswerPart):
    """The tokens of a reply; None where the server keeps them to itself."""

    content: list[AnswerToken] | None = None


class AnswerMessage(_AnswerPart):
    """The reply itself."""

    content: str | None = None
    refusal: str | None = None
    thought: bool = False
    """Whether the model thought aloud before it, which is not kept."""


class AnswerChoice(_AnswerPart):
    """The reply with how it ended."""

    message: AnswerMessage
    finish_reason: str | None = None
    logprobs: AnswerTokens | None = None


class AnswerUsage(_AnswerPart):
    """Tokens billed."""

    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)]


class Answer(_AnswerPart):
    """All that is read of a server's answer, and all that the cache keeps."""

    choices: Annotated[list[AnswerChoice], Field(min_length=1)]
    usage: AnswerUsage | None = None

    @property
    def cut_by_thought(self) -> bool:
        """Whether a thought took the room that the reply needed."""
        first = self.choices[0]
        return first.message.thought and first.finish_reason == "length"


def refused(why: str) -> Answer:
    """The answer that stands for a prompt or a reply that a filter withheld."""
    message = AnswerMessage(refusal=why)
    return Answer(choices=[AnswerChoice(message=message, finish_reason=FILTERED)])
