"""Verbs only: parse, call, print."""

from plumbrule.cli.app import main

__all__ = ["main"]
