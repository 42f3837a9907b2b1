"""What an intervention changed, with an error guarantee.

Replies to prompts drawn by chance come first, looks that are guided second; then hypotheses are
fixed, and only tests on fresh prompts decide.
"""

from plumbrule.behavior.comparing import compare_models
from plumbrule.behavior.content import comparison_content
from plumbrule.behavior.results import Comparison
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.verifying import Recheck, verify_comparison
from plumbrule.behavior.writing import compare_into

__all__ = [
    "CompareSettings",
    "Comparison",
    "Recheck",
    "compare_into",
    "compare_models",
    "comparison_content",
    "verify_comparison",
]
