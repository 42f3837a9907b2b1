"""A small world with known truth: its facts, its language, its answer key, its models."""

from plumbrule.lab.oracle import PRINCIPLES, OracleOutcome, judge
from plumbrule.lab.prompts import as_prompt, village_prompts
from plumbrule.lab.requests import KINDS, Kind, Request, draw, read_request
from plumbrule.lab.skills import JudgeSkill, SkillLesson, Teacher
from plumbrule.lab.text import ParsedSentence, read, render
from plumbrule.lab.world import World, build_world

__all__ = [
    "KINDS",
    "PRINCIPLES",
    "JudgeSkill",
    "Kind",
    "OracleOutcome",
    "ParsedSentence",
    "Request",
    "SkillLesson",
    "Teacher",
    "World",
    "as_prompt",
    "build_world",
    "draw",
    "judge",
    "read",
    "read_request",
    "render",
    "village_prompts",
]
