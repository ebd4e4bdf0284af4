"""People and places. One module per noun; everything is importable from here."""

from contacts.models.alarms import DeletionAlarm
from contacts.models.duplicates import Clash, Duplicate, SharedPhone
from contacts.models.groups import GroupChat, GroupMembership, GroupTag, GroupTagging
from contacts.models.handover import (
    HandoverKind,
    HandoverPlan,
    HandoverRow,
    HandoverSplit,
    PlanState,
    RowState,
    UnassignedCount,
)
from contacts.models.notes import Note, RemarkEdit, Todo
from contacts.models.organisation import (
    Dealer,
    Department,
    Member,
    MemberAccount,
    MemberPlacement,
    Region,
    Store,
    StorePlacement,
)
from contacts.models.people import (
    Contact,
    ContactMerge,
    ContactPhone,
    EndedBy,
    Follow,
    FollowPeriod,
    Identity,
    OwnershipChange,
    Relation,
)
from contacts.models.stages import Stage, StageTransition
from contacts.models.timeline import FactSource, TimelineEvent

__all__ = [
    "Clash",
    "Contact",
    "ContactMerge",
    "ContactPhone",
    "Dealer",
    "DeletionAlarm",
    "Department",
    "Duplicate",
    "EndedBy",
    "FactSource",
    "Follow",
    "FollowPeriod",
    "GroupChat",
    "GroupMembership",
    "GroupTag",
    "GroupTagging",
    "HandoverKind",
    "HandoverPlan",
    "HandoverRow",
    "HandoverSplit",
    "Identity",
    "Member",
    "MemberAccount",
    "MemberPlacement",
    "Note",
    "OwnershipChange",
    "PlanState",
    "Region",
    "Relation",
    "RemarkEdit",
    "RowState",
    "SharedPhone",
    "Stage",
    "StageTransition",
    "Store",
    "StorePlacement",
    "TimelineEvent",
    "Todo",
    "UnassignedCount",
]
