"""Cards of 今日, the guide's first page (drawn by campaigns): apps register what a guide should see about her people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise

from contacts.models import Member


@dataclass(frozen=True)
class TodayCard:
    """context(members, now): for the log-in's own members; None leaves the card out. A constant number of queries."""

    key: str
    label: str | Promise
    order: int
    template: str
    context: Callable[[Sequence[Member], datetime], dict[str, Any] | None]


_cards: dict[str, TodayCard] = {}


def register_card(card: TodayCard) -> None:
    """Add a card. Raises ValueError when the key is taken by another."""
    if _cards.get(card.key, card) != card:
        raise ValueError(f"card of 今日 {card.key} is registered twice")
    _cards[card.key] = card


def cards_for(members: Sequence[Member], now: datetime) -> list[tuple[TodayCard, dict[str, Any]]]:
    """The cards that have something to show, in order."""
    filled = ((card, card.context(members, now)) for card in sorted(_cards.values(), key=lambda c: (c.order, c.key)))
    return [(card, context) for card, context in filled if context is not None]
