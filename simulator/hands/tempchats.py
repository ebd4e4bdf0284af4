"""Temporary sessions that reach their end: the customer gets the conclusions, and nobody talks there any more."""

from typing import TYPE_CHECKING

from simulator.world.contactways import TempChat

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


def _next(corp: "Corp") -> TempChat | None:
    rows = [chat for chat in corp.contact_ways.chats.values() if not chat.closed]
    return min(rows, key=lambda chat: chat.until, default=None)


def next_end(corp: "Corp") -> int | None:
    """When the next session ends by itself."""
    chat = _next(corp)
    return chat.until if chat else None


def end_next(_sim: "Simulator", corp: "Corp") -> None:
    """End it."""
    chat = _next(corp)
    if chat:
        corp.end_chat(chat, chat.until)
