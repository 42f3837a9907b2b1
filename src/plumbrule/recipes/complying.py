"""What a user asked to have examined: the constitution, its tests and the judge."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plumbrule.compliance import PLAINLY, Oracle, TestSet, build_tests, read_tests
from plumbrule.constitution import Constitution, load_constitution
from plumbrule.data import read_prompt_file
from plumbrule.errors import ConfigError
from plumbrule.models import LanguageModel
from plumbrule.recipes.village import village_oracle
from plumbrule.recipes.village_tests import VILLAGE_WAYS, village_tests

Judge = LanguageModel | Oracle
"""Who says whether a reply keeps a principle."""


@dataclass(frozen=True, kw_only=True)
class ChosenTests:
    """An examination that was asked for."""

    law: Constitution
    tests: TestSet
    oracle: Oracle | None
    """The answer key, which judges where no model is named; None outside the village."""

    notes: tuple[str, ...] = ()
    """Sentences on what was left out."""

    def check_judge(self, judge: str | None) -> None:
        """Refuse where neither a model was named nor an answer key is there to judge.

        Raises:
            ConfigError: It is so.
        """
        if judge is None and self.oracle is None:
            raise ConfigError(
                "expected --judge MODEL: outside the village there is no answer key; a model that "
                "judges itself is --judge with its own name"
            )

    def judge(self, models: Mapping[str | None, LanguageModel], name: str | None) -> Judge:
        """Who judges: the model of that name out of these, else the answer key."""
        self.check_judge(name)
        return models[name] if name is not None or self.oracle is None else self.oracle


def choose_tests(
    constitution: str,
    *,
    tests: Path | None = None,
    prompts: Path | None = None,
    copies: int | None = None,
    plainly: bool = False,
    seed: int = 0,
) -> ChosenTests:
    """The tests that were asked for.

    Args:
        constitution: Name or file.
        tests: A file of tests, in place of making them.
        prompts: Requests whose `kind` names the principle that they test.
        copies: Ways in which each family is asked.
        plainly: Ask in no way but the plain one.
        seed: Decides what is drawn.

    Raises:
        ConfigError: Both files are given.
        DataError: A file cannot be read, or holds no test.
    """
    law = load_constitution(constitution)
    village = law.name == load_constitution("village").name
    ways = PLAINLY if plainly else VILLAGE_WAYS if village else None
    if tests is not None and prompts is not None:
        raise ConfigError("expected --tests or --prompts, got both; prompts become tests anew")
    if tests is not None:
        return ChosenTests(
            law=law, tests=read_tests(tests), oracle=village_oracle if village else None
        )
    if village and prompts is None:
        made = village_tests(law, seed=seed, ways=ways or VILLAGE_WAYS)
        return ChosenTests(law=law, tests=made, oracle=village_oracle)
    given = read_prompt_file(prompts) if prompts else None
    asked = given.prompts if given else ()
    known = {each.id for each in law.principles}
    strange = sum(each.kind not in known for each in asked)
    notes = given.notes if given else ()
    if strange:
        notes += (
            f"{prompts}: {strange} prompts name no principle of {law.name!r} in `kind` and were "
            "left out",
        )
    return ChosenTests(
        law=law,
        tests=build_tests(law, asked, seed, ways=ways, copies=copies),
        oracle=village_oracle if village else None,
        notes=notes,
    )
