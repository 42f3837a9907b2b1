"""A page that lives: what lies under a folder, as it is now."""

from plumbrule.serving.digests import Digest, ReportLine, digest_of
from plumbrule.serving.finding import WorkFolder, find_work
from plumbrule.serving.live import LivePage
from plumbrule.serving.watching import Shelf

__all__ = ["Digest", "LivePage", "ReportLine", "Shelf", "WorkFolder", "digest_of", "find_work"]
