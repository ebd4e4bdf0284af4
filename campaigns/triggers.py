"""What may start a SOP: each trigger names the timeline facts it listens to."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import FactSource
from scrm.lib.errors import UserError

# A fact of the first sync is history: nobody is enrolled for it.
LIVE_SOURCES = frozenset({FactSource.CALLBACK.value, FactSource.RECONCILE.value})


@dataclass(frozen=True)
class Trigger:
    """kind: of the timeline facts that enrol the person they are about."""

    key: str
    label: str | Promise
    kind: str


_triggers: dict[str, Trigger] = {}


def register(trigger: Trigger) -> None:
    """Add a trigger. Raises ValueError when the key is taken by another."""
    if _triggers.get(trigger.key, trigger) != trigger:
        raise ValueError(f"SOP trigger {trigger.key} is registered twice")
    _triggers[trigger.key] = trigger


def find_trigger(key: str) -> Trigger:
    """The trigger of a key. Raises UserError for an unknown one."""
    if key not in _triggers:
        raise UserError(_("没有这种进入条件:%(key)s。") % {"key": key}, code="unknown_trigger")
    return _triggers[key]


def all_triggers() -> list[Trigger]:
    """Every trigger, by key."""
    return [_triggers[key] for key in sorted(_triggers)]


register(Trigger("follow_added", gettext_lazy("添加好友后"), "follow.added"))
