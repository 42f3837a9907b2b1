"""Constitutions drafted from people: from what they say and vote, and from what they prefer."""

from plumbrule.drafting.alternatives import OtherConstitutions
from plumbrule.drafting.asking import preference_judge, writer
from plumbrule.drafting.candidates import (
    Face,
    Library,
    PreferenceJudge,
    PreferenceRule,
    ReplyProperty,
)
from plumbrule.drafting.cleaning import Cleaned, Removed, clean
from plumbrule.drafting.groups import OpinionGroups, find_groups, group_consensus
from plumbrule.drafting.inverse import (
    InverseDraft,
    InversePrinciple,
    draft_inverse,
)
from plumbrule.drafting.pages import inverse_page, inverse_record, public_page, public_record
from plumbrule.drafting.pairs import LabeledPair, PairSet, plain_pair, read_pairs, usable_pairs
from plumbrule.drafting.public import PublicDraft, draft_public
from plumbrule.drafting.public_views import DroppedView, PublicView
from plumbrule.drafting.requests import RequestCondition, RequestTopics
from plumbrule.drafting.statements import (
    PublicInput,
    Statement,
    Vote,
    public_input,
    read_public_input,
)
from plumbrule.drafting.views import Views, find_views

__all__ = [
    "Cleaned",
    "DroppedView",
    "Face",
    "InverseDraft",
    "InversePrinciple",
    "LabeledPair",
    "Library",
    "OpinionGroups",
    "OtherConstitutions",
    "PairSet",
    "PreferenceJudge",
    "PreferenceRule",
    "PublicDraft",
    "PublicInput",
    "PublicView",
    "Removed",
    "ReplyProperty",
    "RequestCondition",
    "RequestTopics",
    "Statement",
    "Views",
    "Vote",
    "clean",
    "draft_inverse",
    "draft_public",
    "find_groups",
    "find_views",
    "group_consensus",
    "inverse_page",
    "inverse_record",
    "plain_pair",
    "preference_judge",
    "public_input",
    "public_page",
    "public_record",
    "read_pairs",
    "read_public_input",
    "usable_pairs",
    "writer",
]
