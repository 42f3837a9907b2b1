"""A language model behind an OpenAI-compatible endpoint: cached, priced, within a budget."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plumbrule.errors import AccessError, DataError, ModelError
from plumbrule.models.answering import FILTERED
from plumbrule.models.answers import Answers, Paid
from plumbrule.models.asking import Form, LengthName, form_of
from plumbrule.models.budget import EndpointBudget
from plumbrule.models.handle import Choice, Completion, Sampling, Score, Usage
from plumbrule.models.reading import (
    begins_thought,
    billed_tokens,
    check_options,
    choice_of_replies,
    choice_of_tokens,
    first_tokens,
    to_completion,
)
from plumbrule.models.settings import LEARNED_ROOM, EndpointSettings
from plumbrule.records import Dialogue
from plumbrule.store import derive_seed, fingerprint

if TYPE_CHECKING:
    from plumbrule.models.answering import Answer
    from plumbrule.models.calling import RequestBatch, RequestRefused

OPENAI = "https://api.openai.com/v1"


class EndpointModel:
    """A model that is asked over the network; see `LanguageModel` for what it can do.

    The server is given each reply's seed, but few servers promise to draw the same reply from it:
    what makes a run repeatable is the cache.
    """

    spec: str
    identity: str
    usage: Usage

    def __init__(
        self,
        url: str,
        model: str,
        *,
        spec: str | None = None,
        cache: Path | str | None = None,
        settings: EndpointSettings | None = None,
        key: str | None = None,
        key_variable: str = "PLUMBRULE_ENDPOINT_KEY",
        length_name: LengthName = "max_tokens",
    ) -> None:
        """Take an address in; nothing is sent yet.

        Args:
            url: Where the API begins, mostly ending in /v1.
            model: Name of the model there.
            spec: What the user typed.
            cache: SQLite file or `postgresql://user@host/name` with the answers paid for; None
                keeps them for this process alone.
            settings: How to call it.
            key: API key; it goes into one header and nowhere else.
            key_variable: Where the key came from, for the message when it is refused.
            length_name: What the server calls the limit on a reply's length.
        """
        from plumbrule.models.calling import Caller

        self.settings = settings or EndpointSettings()
        self.url, self.model = url.rstrip("/"), model
        self.identity = f"{self.url}#{model}"
        self.spec = spec or self.identity
        self.usage = Usage()
        self._form = self._first_form = Form(length_name=length_name)
        self._thinks = False
        self._log_probs: bool | None = None
        self._lock = Lock()
        self._cache = cache
        # A database that many runs share outlives servers as they are: each run learns them anew.
        self._shared = isinstance(cache, str) and "://" in cache
        self._answers = Answers(cache, source=self.identity)
        self._recall()
        calls, dollars = self._answers.spent()
        self._budget = EndpointBudget(
            max_calls=self.settings.max_calls,
            max_dollars=self.settings.max_dollars,
            calls=calls,
            dollars=dollars,
        )
        self._caller = Caller(
            f"{self.url}/chat/completions",
            key=key,
            key_variable=key_variable,
            timeout_seconds=self.settings.timeout_seconds,
            max_attempts=self.settings.max_attempts,
            backoff_seconds=self.settings.backoff_seconds,
            max_wait_seconds=self.settings.max_wait_seconds,
            max_concurrent=self.settings.max_concurrent,
        )

    @classmethod
    def open(
        cls,
        spec: str,
        *,
        cache: Path | str | None = None,
        settings: EndpointSettings | None = None,
    ) -> "EndpointModel":
        """Read `http://HOST:PORT/v1#MODEL` or `openai:MODEL`, and the key from its variable."""
        settings = settings or EndpointSettings()
        if spec.startswith("openai:"):
            url, model = OPENAI, spec.removeprefix("openai:")
            variable = settings.key_variable or "OPENAI_API_KEY"
            length_name: LengthName = "max_completion_tokens"
            if not os.environ.get(variable):
                raise ModelError(
                    f"expected an API key in {variable} for {spec}, found none; set it and try "
                    "again"
                )
        else:
            url, _, model = spec.partition("#")
            # Never the provider's key: a stranger's address must not get it unasked.
            variable = settings.key_variable or "PLUMBRULE_ENDPOINT_KEY"
            length_name = "max_tokens"
            _check_url(url)
        if not model:
            raise ModelError(
                f"expected a model behind the address, got {url!r}; write "
                f"{url or OPENAI}#MODEL-NAME"
            )
        key = (os.environ.get(variable) or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise AccessError(
                f"expected an API key of plain letters and signs in {variable}, it holds others; "
                "copy it there again"
            )
        return cls(
            url,
            model,
            spec=spec,
            cache=cache,
            settings=settings,
            key=key or None,
            key_variable=variable,
            length_name=length_name,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the endpoint anew, with the key from its own environment."""
        return _opened, (self.spec, self._cache, self.settings)

    def sample(
        self,
        dialogues: Sequence[Dialogue],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        log_probs: bool = False,
    ) -> list[Completion]:
        """Ask for one reply to each dialogue, in order, several calls at once.

        Raises:
            EndpointError: A request failed for longer than it is retried. Answers so far are kept.
            BudgetError: The next call could exceed the budget. Answers so far are kept.
            ModelError: The server refused a request or the key.
        """
        if len(seeds) != len(dialogues):
            raise DataError(f"expected one seed a dialogue, got {len(seeds)} for {len(dialogues)}")
        asks = [
            self._request(dialogue, sampling, seed, **({"logprobs": True} if log_probs else {}))
            for dialogue, seed in zip(dialogues, seeds, strict=True)
        ]
        return [to_completion(answer, log_probs=log_probs) for answer in self._ask_all(asks)]

    def score(self, dialogues: Sequence[Dialogue], responses: Sequence[str]) -> list[Score]:
        """Refuse: chat endpoints do not tell the probability of a given reply.

        Raises:
            ModelError: Always.
        """
        del dialogues, responses
        raise ModelError(
            f"expected a model with weights at hand to score a given reply, {self.identity} is a "
            "chat endpoint; use "
            "`choose`, or open the weights from a folder or the hub"
        )

    def choose(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], *, seeds: Sequence[int]
    ) -> list[Choice]:
        """Probability of each of the same few answers to each dialogue.

        By the log-probabilities of the first token where the server gives them and they can tell
        the answers apart; else by drawing `choose_samples` short replies and reading how each
        begins.

        Raises:
            EndpointError, BudgetError, ModelError: As `sample`.
            DataError: Fewer than two answers, an empty one, or two alike.
        """
        check_options(options)
        if len(seeds) != len(dialogues):
            raise DataError(f"expected one seed a dialogue, got {len(seeds)} for {len(dialogues)}")
        choices: list[Choice | None] = [None] * len(dialogues)
        if self._log_probs is not False:
            # One question first: a server without log-probabilities is not asked in vain for all
            # of them.
            choices[:1] = self._by_log_probs(dialogues[:1], options, seeds[:1])
        if self._log_probs is not False:
            choices[1:] = self._by_log_probs(dialogues[1:], options, seeds[1:])
        rest = [item for item, choice in enumerate(choices) if choice is None]
        drawn = self._by_sampling(
            [dialogues[item] for item in rest], options, [seeds[item] for item in rest]
        )
        for item, choice in zip(rest, drawn, strict=True):
            choices[item] = choice
        return [choice for choice in choices if choice is not None]

    def describe(self) -> Mapping[str, Any]:
        """What a report says about the model, whoever learned it: also a process before this."""
        self._recall()
        known = {None: "not asked yet", True: "given", False: "not given: choices are by sampling"}
        form = self._form.describe()
        more = {"form": form} if form else {}
        if self._thinks or self.settings.thinking_tokens:
            more["thinks_first"] = f"{self._room()} tokens beside those of a reply"
        return {
            "spec": self.spec,
            "kind": "endpoint",
            "url": self.url,
            "model": self.model,
            "log_probs": known[self._log_probs],
            "seeds": "not taken by the server"
            if "seed" in self._form.left_out
            else "sent, the server may ignore them",
            **more,
        }

    def _by_log_probs(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], seeds: Sequence[int]
    ) -> list[Choice | None]:
        from plumbrule.models.calling import RequestRefused

        sampling = Sampling(max_new_tokens=1)
        asked = {"logprobs": True, "top_logprobs": self.settings.top_log_probs}
        asks = [
            self._request(dialogue, sampling, seed, **asked)
            for dialogue, seed in zip(dialogues, seeds, strict=True)
        ]
        try:
            if "logprobs" not in self._form.left_out:
                answers = self._ask_all(asks)
        except RequestRefused:
            if "logprobs" not in self._form.left_out:
                raise
        if "logprobs" in self._form.left_out:
            self._keep(log_probs=False)
            return [None] * len(dialogues)
        thinks = any(
            answer.choices[0].message.thought or begins_thought(first_tokens(answer))
            for answer in answers
        )
        if thinks:
            self._keep(thinks=True, log_probs=False)
            return [None] * len(dialogues)
        # A filter that withheld a reply says nothing of what the server gives.
        told = [answer for answer in answers if answer.choices[0].finish_reason != FILTERED]
        if told and self._log_probs is None:
            self._keep(log_probs=any(first_tokens(answer) is not None for answer in told))
        return [choice_of_tokens(first_tokens(answer), options) for answer in answers]

    def _by_sampling(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], seeds: Sequence[int]
    ) -> list[Choice]:
        draws = self.settings.choose_samples
        sampling = Sampling(max_new_tokens=self.settings.choose_tokens)
        asks = [
            self._request(dialogue, sampling, derive_seed(seed, "choose", draw))
            for dialogue, seed in zip(dialogues, seeds, strict=True)
            for draw in range(draws)
        ]
        replies = [to_completion(answer, log_probs=False) for answer in self._ask_all(asks)]
        return [
            choice_of_replies(replies[at : at + draws], options)
            for at in range(0, len(replies), draws)
        ]

    def _request(
        self, dialogue: Dialogue, sampling: Sampling, seed: int, **more: Any
    ) -> dict[str, Any]:
        """What is asked, free of what servers call things: the cache's key is made from this."""
        settings = self.settings
        if settings.thinking_tokens is not None:
            more["thinking"] = settings.thinking_tokens
        if settings.reasoning_effort is not None:
            more["reasoning_effort"] = settings.reasoning_effort
        return {
            "model": self.model,
            "messages": [{"role": turn.role, "content": _whole(turn.content)} for turn in dialogue],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "length": sampling.max_new_tokens,
            "seed": seed,
            **more,
        }

    def _ask_all(self, asks: Sequence[Mapping[str, Any]]) -> "list[Answer]":
        from plumbrule.models.calling import together

        with self._caller.round() as batch:
            jobs = [partial(self._ask, ask, batch) for ask in asks]
            return together(jobs, batch=batch, workers=self.settings.max_concurrent)

    def _ask(self, ask: Mapping[str, Any], batch: "RequestBatch") -> "Answer":
        from plumbrule.models.answering import Answer

        key = fingerprint([self.url, dict(ask)])
        paid, mine = self._answers.get(key, lambda: self._pay(ask, key, batch))
        answer = Answer.model_validate_json(paid.answer)
        if mine:
            with self._lock:
                self.usage.calls += 1
                self.usage.tokens_generated += billed_tokens(answer)
                self.usage.dollars += paid.dollars
        return answer

    def _pay(self, ask: Mapping[str, Any], key: str, batch: "RequestBatch") -> Paid:
        """Call until there is an answer or no more hope."""
        from plumbrule.models.calling import MOST_UNREADABLE, GivenUp, RequestRefused, TryAgain

        attempt = unreadable = 0
        while True:
            if batch.stop.is_set():
                raise GivenUp(f"{self.identity} was given up because another request failed")
            form = self._form
            # A question that one token answers is asked without room: it shows whether one thinks.
            room = 0 if "top_logprobs" in ask else self._room()
            body = form.body(ask, room=room)
            worst = self._price(_most_prompt_tokens(ask), ask["length"] + room)
            try:
                with self._budget.reserve(worst) as bill, self._answers.charging(bill) as charge:
                    answer = self._caller.post(body, bill, batch)
                    if answer.usage is not None:
                        used = answer.usage
                        bill.dollars = self._price(used.prompt_tokens, used.completion_tokens)
                    dollars = bill.dollars if bill.charged else 0.0
            except RequestRefused as error:
                if not self._learn(form, error, body):
                    raise self._both_refused(form, error) from error
                if "top_logprobs" in ask and "logprobs" in self._form.left_out:
                    raise  # the question is asked another way then
            except TryAgain as trouble:
                attempt += 1
                unreadable += trouble.unreadable
                if attempt >= self._caller.max_attempts or unreadable >= MOST_UNREADABLE:
                    raise self._caller.give_up(trouble, attempt) from trouble
                self._caller.wait(trouble, attempt=attempt - 1, key=key, batch=batch)
            else:
                if answer.cut_by_thought and self._give_room(ask, room):
                    continue
                return Paid(answer=answer.model_dump_json(), dollars=dollars, charge=charge)

    def _room(self) -> int:
        """Tokens for thinking, beside those of a reply."""
        if self.settings.thinking_tokens is not None:
            return self.settings.thinking_tokens
        return LEARNED_ROOM if self._thinks else 0

    def _give_room(self, ask: Mapping[str, Any], room: int) -> bool:
        """Whether a reply that a thought cut off is worth asking for again, with more room."""
        if "top_logprobs" in ask or self.settings.thinking_tokens is not None:
            return False
        self._keep(thinks=True)
        return room == 0

    def _learn(self, used: Form, error: "RequestRefused", body: Mapping[str, Any]) -> bool:
        """Take on a form that avoids what the server refused; False where there is none."""
        with self._lock:
            if self._form != used:
                return True  # another thread met the same refusal first
            learned = used.learn(error.said, body)
            if learned is None:
                return False
            self._form = learned
        self._keep()
        return True

    def _recall(self) -> None:
        """Take in what was learned where the paid answers are kept and is not known here.

        A run that goes on may have no question left: its report must say the same all the same.
        """
        kept = self._answers.learned()
        if kept is None:
            return
        known = json.loads(kept)
        with self._lock:
            if self._form == self._first_form:
                self._form = form_of(known["form"])
            self._thinks = self._thinks or known["thinks"]
            if self._log_probs is None:
                self._log_probs = known["log_probs"]

    def _keep(self, *, thinks: bool | None = None, log_probs: bool | None = None) -> None:
        """Know more of how the server answers, and keep it beside the paid answers."""
        with self._lock:
            self._thinks = self._thinks if thinks is None else thinks
            self._log_probs = self._log_probs if log_probs is None else log_probs
            known = {
                "form": self._form.kept(),
                "thinks": self._thinks,
                "log_probs": self._log_probs,
            }
        if not self._shared:
            self._answers.learn(json.dumps(known, sort_keys=True))

    def _both_refused(self, form: Form, error: "RequestRefused") -> "RequestRefused":
        """The error, with what was refused before it where both words for a length were tried."""
        from plumbrule.models.calling import RequestRefused

        if not form.refused_length or "max_" not in error.said.words:
            return error
        said = self._caller.clean(form.refused_length)
        return RequestRefused(f"{error} Before, it refused the other word for it: {said}")

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars for so many tokens; 0 where there are no prices."""
        per_input = self.settings.price_per_million_input or 0.0
        per_output = self.settings.price_per_million_output or 0.0
        return (prompt_tokens * per_input + completion_tokens * per_output) / 1e6


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ModelError(
            f"expected an address such as http://localhost:8000/v1: {error}"
        ) from error
    if parts.username or parts.password or parts.query:
        raise ModelError(
            "expected an address without a key, a password or a query in it, because it is "
            "written into reports; "
            "put the key into PLUMBRULE_ENDPOINT_KEY"
        )
    if not parts.hostname:
        raise ModelError(f"expected an address such as http://localhost:8000/v1, got {url!r}")


def _whole(text: str) -> str:
    """Text without half characters, which no encoding has."""
    return text.encode("utf-8", "replace").decode()


def _most_prompt_tokens(ask: Mapping[str, Any]) -> int:
    """More tokens than a prompt can have: one a byte, and a few a turn for the template."""
    return sum(len(turn["content"].encode()) + 16 for turn in ask["messages"]) + 16


def _opened(spec: str, cache: Path | str | None, settings: EndpointSettings) -> EndpointModel:
    return EndpointModel.open(spec, cache=cache, settings=settings)
