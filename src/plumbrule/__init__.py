"""Train a language model on a written constitution, then show what really changed."""

__version__ = "0.1.0"
