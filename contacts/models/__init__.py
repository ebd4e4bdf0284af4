"""People and places. One module per noun; everything is importable from here."""

from contacts.models.adding import PhoneBatch, PhoneToAdd
from contacts.models.alarms import DeletionAlarm
from contacts.models.bulk import BulkChange, BulkPart, BulkReason
from contacts.models.custom import CustomField, DetailChange
from contacts.models.duplicates import Clash, Duplicate, SharedPhone
from contacts.models.groups import GroupChat, GroupMembership, GroupTag, GroupTagging, GroupTagSet
from contacts.models.handover import (
    HandoverKind,
    HandoverPlan,
    HandoverRow,
    HandoverSplit,
    PlanState,
    RowState,
    UnassignedCount,
)
from contacts.models.imports import ImportHead, ImportRow, ImportRun, ImportState, Outcome
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
    WecomLoginRule,
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
from contacts.models.privacy import ConsentRecord, ErasedKey, ErasureRequest, ErasureSecret
from contacts.models.staffing import StaffChange
from contacts.models.stages import Stage, StageTransition
from contacts.models.timeline import FactSource, TimelineEvent
from contacts.models.told import Told
from contacts.models.views import ColumnChoice, SavedView

__all__ = [
    "BulkChange",
    "BulkPart",
    "BulkReason",
    "Clash",
    "ColumnChoice",
    "ConsentRecord",
    "Contact",
    "ContactMerge",
    "ContactPhone",
    "CustomField",
    "Dealer",
    "DeletionAlarm",
    "Department",
    "DetailChange",
    "Duplicate",
    "EndedBy",
    "ErasedKey",
    "ErasureRequest",
    "ErasureSecret",
    "FactSource",
    "Follow",
    "FollowPeriod",
    "GroupChat",
    "GroupMembership",
    "GroupTag",
    "GroupTagSet",
    "GroupTagging",
    "HandoverKind",
    "HandoverPlan",
    "HandoverRow",
    "HandoverSplit",
    "Identity",
    "ImportHead",
    "ImportRow",
    "ImportRun",
    "ImportState",
    "Member",
    "MemberAccount",
    "MemberPlacement",
    "Note",
    "Outcome",
    "OwnershipChange",
    "PhoneBatch",
    "PhoneToAdd",
    "PlanState",
    "Region",
    "Relation",
    "RemarkEdit",
    "RowState",
    "SavedView",
    "SharedPhone",
    "StaffChange",
    "Stage",
    "StageTransition",
    "Store",
    "StorePlacement",
    "TimelineEvent",
    "Todo",
    "Told",
    "UnassignedCount",
    "WecomLoginRule",
]
