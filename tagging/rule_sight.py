"""What of a rule somebody may not see. Its log, its counts and its trials answer by what its conditions ask and its trigger hears; whoever
may not see that learns of the rule its name, and that there is something closed in it.
"""

from collections.abc import Collection
from typing import Any

from django.utils.translation import gettext as _

from conditions.registry import Asker
from conditions.schema import closed_fields, is_shaped
from contacts import timeline
from scrm.lib.errors import NotAllowed
from tagging import triggers
from tagging.triggers import Params, Trigger


def closed_parts(row: Any, asker: Asker) -> list[str]:
    """Labels of what a rule, or a version of one, asks or hears that is not hers to see; each once."""
    fields = [str(field.label) for field in closed_fields(asker, row.tree)] if is_shaped(row.tree) else []
    heard = closed_trigger(row.trigger or {"kind": "match"}, asker.permissions)
    return list(dict.fromkeys([*fields, heard] if heard else fields))


def closed_in_words(row: Any, asker: Asker) -> str:
    """What she is told in place of its conditions, or ""."""
    closed = closed_parts(row, asker)
    return _("用到您看不到的「%(parts)s」") % {"parts": "」「".join(closed)} if closed else ""


def refuse_closed(row: Any, asker: Asker) -> None:
    """Raises NotAllowed where something of the rule is not hers to see."""
    closed = closed_parts(row, asker)
    if closed:
        text = _("这条规则用到您看不到的「%(parts)s」,请看得到的同事来操作。")
        raise NotAllowed(text % {"parts": "」「".join(closed)})


# --- Triggers ---------------------------------------------------------------------------------------------------


def closed_trigger(params: Params, permissions: Collection[str]) -> str:
    """What of a trigger is not hers to see, in a word, or "": the kind of fact, or the sort of trigger."""
    trigger = triggers.find(params.get("kind"))
    if trigger is None:
        return ""
    if trigger.permission and trigger.permission not in permissions:
        return str(trigger.label)
    kinds = [timeline.kind_of(kind) for kind in sorted(trigger.kinds(params))]
    return next((str(kind.label) for kind in kinds if kind.permission not in permissions), "")


def trigger_closed_to(params: Params, permissions: Collection[str]) -> str:
    """Why somebody may not let a rule hear this: whoever may not see such facts would learn of them by what the rule does. Or empty."""
    text = _("您看不到「%(label)s」,不能用它触发规则。请另选一种,或请看得到的同事来设置。")
    closed = closed_trigger(params, permissions)
    return text % {"label": closed} if closed else ""


def triggers_open_to(permissions: Collection[str], standing: Params) -> list[tuple[Trigger, bool]]:
    """The sorts that somebody may choose from, each with whether it is closed to her: one that stands is shown nevertheless."""
    found = [(one, bool(closed_trigger({"kind": one.key}, permissions))) for one in triggers.all_triggers()]
    return [(one, is_closed) for one, is_closed in found if not is_closed or one.key == standing.get("kind")]
