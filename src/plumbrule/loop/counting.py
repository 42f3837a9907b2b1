"""Calls and tokens of each stage of a run, counted with its tokenizer before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from plumbrule.constitution import Principle
from plumbrule.judging import PromptSet, conditions_of, known_conditions, known_replies
from plumbrule.judging.prompts import Task
from plumbrule.loop.config import RunConfig
from plumbrule.loop.steps import Jury
from plumbrule.loop.trials import held_out_name
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import Dialogue, Exchange, Prompt


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage will take."""

    name: str

    who: str
    """`model`, `critic`, `judge` or `held_out_judge`."""

    calls: int
    """Replies, answers or examples."""

    tokens_read: int = 0
    tokens_written: int = 0
    tokens_trained: int = 0


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Counts tokens with the tokenizer of the model."""

    model: LocalModel
    jury: Jury

    def trials(
        self, prompts: Sequence[Prompt], held_out: LanguageModel | None = None
    ) -> list[Stage]:
        """The examination of critic and judge, and of a held-out judge where there is one."""
        law, words = self.jury.constitution, self.jury.prompts
        known = known_replies(law)
        if not any(each.broken is not None for each in known):
            return []
        asked = [
            words.render(
                task,
                principle=law.principle(each.principle_id),
                values={"request": each.request, "reply": each.reply},
            )
            for each in known
            for task in words.grading
        ]
        stages = []
        same = self.jury.judge.identity == self.jury.critic.identity
        names = {"critic": "critic"} if same else {"critic": "critic", "judge": "judge"}
        if held_out is not None:
            names[held_out_name(held_out)] = "held_out_judge"
        for name, who in names.items():
            stages.append(
                Stage(
                    name=f"trial/{name}", who=who, calls=len(asked), tokens_read=self.shared(asked)
                )
            )
            if words.decides_conditions:
                questions = [(each.request, each.condition.text) for each in known_conditions(law)]
                told = [_condition(words, request, text) for request, text in questions]
                stages.append(
                    Stage(
                        name=f"trial/{name}_conditions",
                        who=who,
                        calls=len(told),
                        tokens_read=self.shared(told),
                    )
                )
                scoped = [
                    _condition(words, prompt.dialogue[-1].content, each.text)
                    for prompt in prompts
                    for each in conditions_of(law)
                ]
                stages.append(
                    Stage(
                        name=f"scopes/{name}",
                        who=who,
                        calls=len(scoped),
                        tokens_read=self.shared(scoped),
                    )
                )
        return stages

    def replies(self, name: str, prompts: Sequence[Prompt], longest: int, copies: int = 1) -> Stage:
        """Replies of the model."""
        return Stage(
            name=name,
            who="model",
            calls=copies * len(prompts),
            tokens_read=self.shared([prompt.dialogue for prompt in prompts]),
            tokens_written=copies * longest * len(prompts),
        )

    def grades(
        self, name: str, who: str, prompts: Sequence[Prompt], longest: int, times: int = 1
    ) -> Stage:
        """Grading of a reply to each prompt under every principle."""
        asked = [
            question
            for principle in self.jury.constitution.principles
            for task in self.jury.prompts.grading
            for question in self.asked(task, prompts, principle, reply=_filler(longest))
        ]
        return Stage(
            name=name,
            who=who,
            calls=times * len(asked),
            tokens_read=times * self.shared(asked),
        )

    def manners(self, name: str, prompts: Sequence[Prompt], longest: int) -> Stage:
        """Sorting of a reply to each prompt."""
        asked = self.asked("manner", prompts, reply=_filler(longest))
        return Stage(name=name, who="judge", calls=len(asked), tokens_read=self.shared(asked))

    def teaching(
        self, config: RunConfig, tempting: Sequence[Prompt], deserving: Sequence[Prompt]
    ) -> list[Stage]:
        """Drafts, critiques, revisions, and training on them."""
        longest, settings = config.sampling.max_new_tokens, config.revising
        critique = settings.critique_tokens or self.jury.prompts.template("critique").max_new_tokens
        revision = settings.revision_tokens or self.jury.prompts.template("revise").max_new_tokens
        grading = self.grades("", "critic", tempting, longest)
        first = self.jury.constitution.principles[0]
        asked = self.asked(
            "revise", tempting, first, reply=_filler(longest), critique=_filler(critique)
        )
        each = self.shared(asked) * (2 if settings.with_critique else 1)
        written = (critique if settings.with_critique else 0) + revision
        imitated = self.lengths(tempting, revision) + self.lengths(deserving, longest)
        return [
            self.replies("draft", tempting, longest),
            Stage(
                name="revise",
                who="critic",
                calls=settings.rounds * (grading.calls + 2 * len(tempting)),
                tokens_read=settings.rounds * (grading.tokens_read + each),
                tokens_written=settings.rounds * written * len(tempting),
            ),
            self.replies("helpful", deserving, longest),
            Stage(
                name="train/supervised",
                who="model",
                calls=len(tempting) + len(deserving),
                tokens_trained=config.supervised.epochs * imitated,
            ),
        ]

    def reinforcing(self, config: RunConfig, compared: Sequence[Prompt]) -> list[Stage]:
        """Candidates, comparisons, the reward model, and training against it."""
        longest = config.sampling.max_new_tokens
        pairs = 2 * self.lengths(compared, longest)
        stages = [
            self.replies("candidates", compared, longest, copies=config.candidates),
            self.comparing(compared, longest),
            Stage(
                name="train/reward",
                who="model",
                calls=len(compared),
                tokens_trained=config.reward.epochs * pairs,
            ),
        ]
        if config.method != "dpo":
            settings = getattr(config, config.method)
            # A method that judges replies against one another draws several a prompt.
            drawn = getattr(settings, "replies_per_prompt", 1)
            trained = drawn * self.lengths(compared, settings.max_new_tokens)
            stages.append(
                Stage(
                    name=f"train/{config.method}",
                    who="model",
                    calls=drawn * len(compared),
                    tokens_read=trained,
                    tokens_written=drawn * len(compared) * settings.max_new_tokens,
                    tokens_trained=settings.epochs * settings.iterations * trained,
                )
            )
            return stages
        return [
            *stages,
            Stage(
                name="rewards",
                who="model",
                calls=config.candidates * len(compared),
                tokens_read=config.candidates * self.lengths(compared, longest),
            ),
            Stage(
                name="train/dpo",
                who="model",
                calls=len(compared),
                tokens_read=pairs,
                tokens_trained=config.dpo.epochs * pairs,
            ),
        ]

    def comparing(self, compared: Sequence[Prompt], longest: int) -> Stage:
        """Comparison of two replies to each prompt: graded where the critic can be examined."""
        law, reply = self.jury.constitution, _filler(longest)
        if any(principle.known_replies for principle in law.principles):
            return self.grades("compare", "critic", compared, longest, times=2)
        asked = [
            question
            for principle in law.principles
            for question in self.asked("compare", compared, principle, first=reply, second=reply)
        ]
        return Stage(
            name="compare", who="critic", calls=2 * len(asked), tokens_read=2 * self.shared(asked)
        )

    def asked(
        self,
        task: Task,
        prompts: Sequence[Prompt],
        principle: Principle | None = None,
        **values: str,
    ) -> list[Dialogue]:
        """What a critic or judge is asked about each prompt."""
        return [
            self.jury.prompts.render(
                task,
                principle=principle,
                values={"request": prompt.dialogue[-1].content, **values},
            )
            for prompt in prompts
        ]

    def lengths(self, prompts: Sequence[Prompt], reply: int) -> int:
        """Tokens of each prompt and a reply of so many tokens."""
        asked = self.model.chat.prompts([prompt.dialogue for prompt in prompts])
        return sum(len(each) + reply for each in asked)

    def examples(self, given: Sequence[Exchange]) -> int:
        """Tokens of dialogues with the replies that they got."""
        pairs = self.model.chat.with_replies(
            [each.dialogue for each in given], [each.response for each in given]
        )
        return sum(len(prompt) + len(reply) + 1 for prompt, reply in pairs)

    def shared(self, dialogues: Sequence[Dialogue]) -> int:
        """Tokens that have to be read where what texts begin with is read once."""
        return distinct_tokens(self.model.chat.prompts(dialogues)) if dialogues else 0


def distinct_tokens(texts: Sequence[Sequence[int]]) -> int:
    """Tokens of texts, common beginnings counted once.

    Example:
        >>> distinct_tokens([[1, 2, 3], [1, 2, 4], [9]])
        5
    """
    ordered = sorted(map(list, texts))
    saved = 0
    for one, other in pairwise(ordered):
        common = 0
        for left, right in zip(one, other, strict=False):
            if left != right:
                break
            common += 1
        saved += common
    return sum(map(len, ordered)) - saved


def _filler(tokens: int) -> str:
    """A text of about so many tokens, in the place of one that does not exist yet."""
    return "word " * tokens


def _condition(words: PromptSet, request: str, text: str) -> Dialogue:
    return words.render(
        "applies", principle=None, values={"request": request, "condition": text.rstrip(".")}
    )
