"""备注一起带走: what the giver of a hand-over had noted of a customer, for the successor who has noted nothing herself.

WeCom may carry the notes itself, and says nothing of it: whatever stands on the successor's relation by then is left alone, also what
she wrote. Tags that are the giver's own (个人标签) cannot be written by anybody.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from contacts.models import Follow, RemarkEdit
from contacts.services.remarks import (
    COMMAND,
    COMPANY,
    DESCRIPTION,
    MOBILES,
    REMARK,
    WECHAT_CUSTOMER,
    open_edits,
    wished,
)
from contacts.successions import TakenOver
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from wecom_bridge.commands import Wish, enqueue_many

_LIMITS = {"remark": REMARK, "description": DESCRIPTION, "remark_company": COMPANY}


def take_over(taken: Sequence[TakenOver]) -> None:
    """Wish the missing notes of those whose plan says so. Four statements."""
    pairs = {one.new_follow_id: one.old_follow_id for one in taken if one.with_remarks}
    if not pairs:
        return
    follows = Follow.objects.select_related("contact").in_bulk({*pairs, *pairs.values()})
    edits = open_edits(pairs)
    wishes = {
        new: changes
        for new, old in pairs.items()
        if (changes := _missing(follows[new], follows[old], edits.get(new, [])))
    }
    now = clock.now()
    made = RemarkEdit.objects.bulk_create(
        [RemarkEdit(follow_id=new, asked_at=now, **changes) for new, changes in sorted(wishes.items())], batch_size=1000
    )
    enqueue_many(COMMAND, [
        Wish(follows[edit.follow_id].corp_id, f"follow:{edit.follow_id}", subject_id=edit.pk) for edit in made
    ])  # fmt: skip


def _missing(new: Follow, old: Follow, edits: Sequence[RemarkEdit]) -> Mapping[str, Any]:
    """What the giver noted and the successor did not. WeCom notes the customer's own name where nobody notes another."""
    standing, given = wished(new, edits), wished(old, ())
    found: dict[str, Any] = {}
    for name, limit in _LIMITS.items():
        value = clean_text(getattr(given, name)).strip()[:limit]
        if value and value != old.contact.name and getattr(standing, name) in ("", new.contact.name):
            found[name] = value
    if new.contact.kind != WECHAT_CUSTOMER:
        found.pop("remark_company", None)
    if given.remark_mobiles and not standing.remark_mobiles:
        found["remark_mobiles"] = list(given.remark_mobiles[:MOBILES])
    return found
