"""Kinds of bulk change. An app registers what it can do to many people at once, and how that goes back:

    bulk.register(bulk.Kind("stage", _("改阶段"), "contacts.edit", check=…, run=…, undo=…, in_words=…))

run and undo work on one part inside its transaction, through the services that single changes go through.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.functional import Promise

from contacts.models import BulkReason
from tenants.audit import Actor

Params = Mapping[str, Any]


@dataclass
class Outcome:
    """changed: root id → what she had before, as JSON; refused: root id → why. The others had it already."""

    changed: dict[int, Any] = field(default_factory=dict)
    refused: dict[int, BulkReason] = field(default_factory=dict)


@dataclass
class Reversal:
    """undone: who is as before; stuck: root id → why she cannot be. The others were changed since, and stay."""

    undone: set[int] = field(default_factory=set)
    stuck: dict[int, BulkReason] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """check(params) raises UserError before anything begins. run(params, root ids, by, at) changes what it can; its
    params carry the number of the change too, as `change`.

    undo(params, {root id: before}, by, done at) sets back whoever is still as the change made her. in_words(params): one line.
    """

    key: str
    label: str | Promise
    permission: str
    check: Callable[[Params], None]
    run: Callable[[Params, Sequence[int], Actor, datetime], Outcome]
    undo: Callable[[Params, Mapping[int, Any], Actor, datetime], Reversal]
    in_words: Callable[[Params], str]
    needs_places: bool = False  # not for a guide, who has nothing but her own customers


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a kind. Raises ValueError when the key is taken by another."""
    if _kinds.get(kind.key, kind) != kind:
        raise ValueError(f"bulk kind {kind.key} is registered twice")
    _kinds[kind.key] = kind


def kind_of(key: str) -> Kind:
    """The kind of a key. Raises KeyError for an unknown one."""
    return _kinds[key]


def all_kinds() -> list[Kind]:
    """Every registered kind."""
    return list(_kinds.values())
