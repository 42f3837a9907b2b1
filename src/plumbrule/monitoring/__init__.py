"""A model in use: conversations read, rates watched, alarms told apart, arms compared."""

from plumbrule.monitoring.detection import Bound, RiseDetector, baseline_bound, drift_detector
from plumbrule.monitoring.drift import Attribution, attribute_rise
from plumbrule.monitoring.emitting import evaluation_line
from plumbrule.monitoring.monitor import TrafficMonitor
from plumbrule.monitoring.rates import LabelCounts, corrected_sequence, sequence_of
from plumbrule.monitoring.redaction import PatternRedactor, Redactor, read_redactor
from plumbrule.monitoring.rulings import Alarm, Judge, Ruling, Screen
from plumbrule.monitoring.sampling import Draw, Shares, draw, stable_uniform
from plumbrule.monitoring.screens import word_screen
from plumbrule.monitoring.settings import WatchSettings
from plumbrule.monitoring.sources import new_lines, packed_files, source_files
from plumbrule.monitoring.telemetry import read_pieces
from plumbrule.monitoring.traffic import LiveExchange, TracePiece, conversations_of
from plumbrule.monitoring.trial_deciding import Trial, TrialDecision, decide
from plumbrule.monitoring.trial_evidence import difference
from plumbrule.monitoring.trial_plan import TrialPlan
from plumbrule.monitoring.trial_simulation import corrected_effect

__all__ = [
    "Alarm",
    "Attribution",
    "Bound",
    "Draw",
    "Judge",
    "LabelCounts",
    "LiveExchange",
    "PatternRedactor",
    "Redactor",
    "RiseDetector",
    "Ruling",
    "Screen",
    "Shares",
    "TracePiece",
    "TrafficMonitor",
    "Trial",
    "TrialDecision",
    "TrialPlan",
    "WatchSettings",
    "attribute_rise",
    "baseline_bound",
    "conversations_of",
    "corrected_effect",
    "corrected_sequence",
    "decide",
    "difference",
    "draw",
    "drift_detector",
    "evaluation_line",
    "new_lines",
    "packed_files",
    "read_pieces",
    "read_redactor",
    "sequence_of",
    "source_files",
    "stable_uniform",
    "word_screen",
]
