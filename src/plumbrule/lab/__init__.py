"""A small world with known truth: its facts, its language, its answer key, its models."""

from plumbrule.lab.oracle import PRINCIPLES, Outcome, judge
from plumbrule.lab.prompts import as_prompt, village_prompts
from plumbrule.lab.requests import KINDS, Kind, Request, draw, read_request
from plumbrule.lab.skills import JudgeSkill, Lesson, Teacher
from plumbrule.lab.text import Reading, read, render
from plumbrule.lab.world import World, build_world

__all__ = [
    "KINDS",
    "PRINCIPLES",
    "JudgeSkill",
    "Kind",
    "Lesson",
    "Outcome",
    "Reading",
    "Request",
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
