"""From one record to one page: `report.json` and the HTML that shows what it holds."""

from plumbrule.report.numbers import estimate_text
from plumbrule.report.review import write_review_page
from plumbrule.report.write import (
    write_comparison,
    write_compliance,
    write_features,
    write_production,
    write_report,
    write_runs,
    write_story,
    write_trial,
    write_verdict,
)

__all__ = [
    "estimate_text",
    "write_comparison",
    "write_compliance",
    "write_features",
    "write_production",
    "write_report",
    "write_review_page",
    "write_runs",
    "write_story",
    "write_trial",
    "write_verdict",
]
