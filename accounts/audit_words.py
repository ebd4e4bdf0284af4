"""Audit actions as words. Apps register theirs; an unknown one shows its code."""

from collections.abc import Mapping

from django.utils.functional import Promise

_words: dict[str, str | Promise] = {}


def register(words: Mapping[str, str | Promise]) -> None:
    """Add action → sentence part, such as {"broadcast.approved": _("批准群发")}."""
    _words.update(words)


def action_label(action: str) -> str:
    """What the audit page shows for an action."""
    return str(_words.get(action, action))
