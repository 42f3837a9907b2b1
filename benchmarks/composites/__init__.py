"""Requests for several things at once, evaluators of whole replies and of parts, and their use."""
