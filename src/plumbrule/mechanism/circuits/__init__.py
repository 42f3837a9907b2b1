"""Edges between the parts of a model, and the circuits that they make."""
