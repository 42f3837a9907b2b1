"""Reads a paper as a whole, and finds what no part shows alone."""

from plumbrule.oversight.papers.whole.check import WHOLE_KINDS, check_whole
from plumbrule.oversight.papers.whole.purposes import Piece, Purpose, load_purposes

__all__ = ["WHOLE_KINDS", "Piece", "Purpose", "check_whole", "load_purposes"]
