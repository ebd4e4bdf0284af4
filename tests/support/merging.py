"""Merges of tags, as the worker and WeCom carry them out."""

from datetime import timedelta
from typing import Any

from contacts import longjobs
from scrm.lib import clock
from tagging.models import Tag
from tagging.services.marks import COMMAND, MARK_COMMAND
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand


def has(tag: Tag) -> dict[str, Any]:
    """The tree of whoever carries it."""
    return tree_of({"field": "tag", "op": "any", "value": [tag.pk]})


def work() -> None:
    """The lane of long jobs, until nothing is left."""
    assert not longjobs.drain(clock.wall() + timedelta(seconds=20))


def answered() -> None:
    """WeCom did what it was told, in order."""
    for command in OutboundCommand.objects.filter(kind=COMMAND, state="waiting").order_by("pk"):
        if MARK_COMMAND.build(command):
            MARK_COMMAND.on_result(command, {})
        OutboundCommand.objects.filter(pk=command.pk).update(state="done")
