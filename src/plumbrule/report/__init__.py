"""From one record to one page: `report.json` and the HTML that shows what it holds."""

from plumbrule.report.numbers import estimate_text
from plumbrule.report.review import write_review_page
from plumbrule.report.write import write_page

__all__ = ["estimate_text", "write_page", "write_review_page"]
