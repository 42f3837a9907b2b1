"""Changing what a model does: while it runs, in its weights, and the proof that it held."""
