"""Tags, who carries them and why; segments with stored entries; rules that act when a person starts to match."""

from tagging.models.rules import Rule, RuleEvent, RuleMatch, RuleSlot, RuleVersion
from tagging.models.segments import RfmGrid, Segment, SegmentChange, SegmentEntry, SegmentPin, SegmentSize
from tagging.models.tags import Colour, FollowTag, PreTag, Tag, TagCapacity, TagGroup, TagMerge, TagMergeMove

__all__ = [
    "Colour",
    "FollowTag",
    "PreTag",
    "RfmGrid",
    "Rule",
    "RuleEvent",
    "RuleMatch",
    "RuleSlot",
    "RuleVersion",
    "Segment",
    "SegmentChange",
    "SegmentEntry",
    "SegmentPin",
    "SegmentSize",
    "Tag",
    "TagCapacity",
    "TagGroup",
    "TagMerge",
    "TagMergeMove",
]
