"""Asking WeCom about a unit: the questions, and when the next one is due."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from campaigns.models import Dispatch
from scrm.lib import clock
from wecom_bridge import commands

POLL = "groupmsg.poll"
# WeCom's word on whoever is 未知 may still come: asked for daily, until it is of no use to anybody.
LATE_EVERY = timedelta(days=1)
LATE_UNTIL = timedelta(days=30)


def ask_task(unit: Dispatch, *, after_stop: bool = False) -> None:
    """Ask whether the guide confirmed."""
    _ask(unit, {"step": "task", "after_stop": after_stop})


def ask_results(unit: Dispatch, cursor: str) -> None:
    """Ask for a page of results."""
    _ask(unit, {"step": "results", "cursor": cursor})


def _ask(unit: Dispatch, payload: dict[str, Any]) -> None:
    """While WeCom is away a question stands once; the following page of an answer is always asked for."""
    key = f"groupmsg.poll:{unit.pk}:{payload['step']}:{payload.get('after_stop', False)}"
    commands.enqueue(
        POLL,
        corp=unit.sender.corp_id,
        entity_key=f"groupmsg.poll:{unit.pk}",
        subject_id=unit.pk,
        payload=payload,
        dedupe_key=None if payload.get("cursor") else key,
    )


def has_sent(task: Mapping[str, Any]) -> bool:
    """Whether a row of task_list says that its sender confirmed: 0 not sent, 2 sent; the reference's own sample prints 1."""
    return int(task["status"]) != 0


def first_poll(now: datetime) -> datetime:
    """A guide may confirm at once: look within a minute."""
    return now + timedelta(minutes=1)


def next_poll(unit: Dispatch, now: datetime) -> datetime:
    """When to look again: every minute at first, then slower. Whole minutes, so that units are looked at together."""
    age = now - (unit.confirmed_at or unit.tasked_at or now)
    step = 1 if age < timedelta(minutes=10) else 5 if age < timedelta(hours=1) else 30
    seconds = step * 60
    return clock.from_unix((int(now.timestamp()) // seconds + 1) * seconds)


def late_look(unit: Dispatch, now: datetime) -> datetime | None:
    """When to ask again for the results of a unit that is over; None when that has been done for long enough."""
    coming = now + LATE_EVERY
    return coming if coming <= (unit.confirmed_at or unit.tasked_at or now) + LATE_UNTIL else None
