"""备注, 描述, 企业 and 备注手机号 of a follow, changed through WeCom (externalcontact/remark).

Our rows change when WeCom has taken the change, never before; until then the wish is a RemarkEdit. What WeCom tells later wins.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts import marks
from contacts.models import Contact, Follow, Relation, RemarkEdit
from contacts.phones import normalise_phone, show_phone
from contacts.services.inbound import lock_people
from contacts.services.phones import sync_remark_mobiles
from contacts.services.search import refresh_search
from contacts.services.stages import actor_label
from contacts.timeline import NewEvent, record_events, roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import Conflict, UserError
from tenants import audit
from tenants.audit import Actor
from wecom_bridge import commands
from wecom_bridge.contracts import Call, CommandKind, Refusal
from wecom_bridge.models import OutboundCommand

COMMAND = "follow.remark"
# Characters (customer-contact reference 2); WeCom gives no number for phones, its client takes five.
REMARK, DESCRIPTION, COMPANY, MOBILES = 20, 150, 20, 5
WECHAT_CUSTOMER = 1  # Contact.kind: only of these WeCom keeps a company
State = RemarkEdit.State


class Remark(NamedTuple):
    """What a guide noted of a customer."""

    remark: str = ""
    description: str = ""
    remark_company: str = ""
    remark_mobiles: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Says whether two people looked at the same."""
        return hashlib.blake2b(orjson.dumps(list(self)), digest_size=8).hexdigest()


def wished(follow: Follow, edits: Iterable[RemarkEdit]) -> Remark:
    """The notes as they stand with the edits that are under way, in order."""
    values = Remark(follow.remark, follow.description, follow.remark_company, tuple(follow.remark_mobiles))._asdict()
    for edit in edits:
        if edit.state == State.WAITING:
            values |= edit.changes()
    return Remark(**values | {"remark_mobiles": tuple(values["remark_mobiles"])})


def open_edits(follow_ids: Iterable[int]) -> dict[int, list[RemarkEdit]]:
    """Follow → its edits that wait or failed, oldest first. One query."""
    found: dict[int, list[RemarkEdit]] = {}
    states = (State.WAITING, State.FAILED)
    for edit in RemarkEdit.objects.filter(follow_id__in=list(follow_ids), state__in=states).order_by("pk"):
        found.setdefault(edit.follow_id, []).append(edit)
    return found


@transaction.atomic
def edit_remark(follow_id: int, wanted: Remark, *, seen: str, by: Actor, at: datetime) -> RemarkEdit | None:
    """Wish the notes of a follow as `wanted`; only what differs travels. None when nothing does.

    seen: digest of the notes as the form showed them. Raises Conflict when they are others by now, UserError for a customer who is no
    friend any more and for what WeCom would refuse.
    """
    follow = Follow.objects.select_for_update(of=("self",)).select_related("contact").get(pk=follow_id)
    standing = wished(follow, open_edits([follow.pk]).get(follow.pk, []))
    if seen != standing.digest:
        raise Conflict(changed_meanwhile())
    wanted = _checked(wanted, standing, follow.contact)
    changes = {name: value for name, value in wanted._asdict().items() if value != getattr(standing, name)}
    return _enqueue(follow, changes, by=by, at=at) if changes else None


def changed_meanwhile() -> str:
    return _("备注刚刚被改过,请看过现在的内容再改。")


@transaction.atomic
def retry_remark(edit_id: int, *, by: Actor, at: datetime) -> RemarkEdit:
    """Wish again what WeCom refused. Raises Conflict when that edit is no longer the one that failed."""
    follow_id = RemarkEdit.objects.values_list("follow_id", flat=True).get(pk=edit_id)
    follow = Follow.objects.select_for_update(of=("self",)).get(pk=follow_id)
    edit = RemarkEdit.objects.get(pk=edit_id)
    if edit.state != State.FAILED:
        raise Conflict(_("这次修改已经不在失败状态,请看过现在的内容再改。"))
    return _enqueue(follow, edit.changes(), by=by, at=at)


def _enqueue(follow: Follow, changes: Mapping[str, Any], *, by: Actor, at: datetime) -> RemarkEdit:
    if follow.relation != Relation.ACTIVE:
        raise UserError(_("客户已不是这位导购的好友,企业微信不再接受备注的修改。"))
    RemarkEdit.objects.filter(follow=follow, state=State.FAILED).update(state=State.REPLACED, settled_at=at)
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}
    edit = RemarkEdit.objects.create(
        follow=follow, asked_at=at, actor_id=by.id if by.kind == "user" else None, **values
    )
    # The same key as tags on this follow: WeCom hears of one follow one call after the other.
    commands.enqueue(COMMAND, corp=follow.corp_id, entity_key=f"follow:{follow.pk}", subject_id=edit.pk, priority=20)
    audit.record("follow.remark_edited", follow, by=by, contact=follow.contact_id, fields=sorted(changes))
    return edit


def _checked(wanted: Remark, standing: Remark, contact: Contact) -> Remark:
    texts = {
        "remark": (_("备注"), REMARK),
        "description": (_("描述"), DESCRIPTION),
        "remark_company": (_("备注企业"), COMPANY),
    }
    values: dict[str, Any] = {}
    for name, (label, limit) in texts.items():
        values[name] = clean_text(getattr(wanted, name)).strip()
        if values[name] != getattr(standing, name) and len(values[name]) > limit:
            raise UserError(
                _("「%(label)s」最多 %(limit)d 字,现在有 %(count)d 字,请删短。")
                % {"label": label, "limit": limit, "count": len(values[name])},
                fields={name: _("请删短")},
            )
    if values["remark_company"] != standing.remark_company and contact.kind != WECHAT_CUSTOMER:
        raise UserError(_("企业微信客户的企业由对方的企业微信决定,不能备注。"), fields={"remark_company": _("请留空")})
    return Remark(**values, remark_mobiles=_mobiles(wanted.remark_mobiles, standing.remark_mobiles))


def _mobiles(wanted: Sequence[str], standing: Sequence[str]) -> tuple[str, ...]:
    """Known ones as they are written, new ones as a phone shows them; each once."""
    found: dict[str, str] = {}
    for mobile in wanted:
        key = normalise_phone(mobile)
        if not key and mobile not in standing:
            raise UserError(
                _("「%(phone)s」不是有效的电话号码,请检查后再填。") % {"phone": mobile},
                fields={"phone": _("请检查号码")},
            )
        found.setdefault(key or mobile, mobile if mobile in standing else show_phone(key))
    if len(found) > max(MOBILES, len(standing)):
        raise UserError(
            _("备注手机号最多 %(limit)d 个,请先移除一个。") % {"limit": MOBILES}, fields={"phone": _("太多了")}
        )
    return tuple(found.values())


# --- The command ------------------------------------------------------------------------------------------------


def _edit_of(command: OutboundCommand) -> RemarkEdit | None:
    """The edit while it is still wished: one that failed is, when somebody has the command called again."""
    rows = RemarkEdit.objects.filter(pk=command.subject_id or 0, state__in=(State.WAITING, State.FAILED))
    return rows.select_related("follow__identity", "follow__member").first()


def _build(command: OutboundCommand) -> Call | None:
    edit = _edit_of(command)
    if edit is None:
        return None
    given = edit.changes()
    if given.get("remark_mobiles") == []:
        given["remark_mobiles"] = [""]  # an empty list would leave them as they are
    follow = edit.follow
    return Call("remark", {"userid": follow.member.userid, "external_userid": follow.identity.value, **given})


def _on_result(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    lock_people()  # a batch that was read before must not write its older words over ours
    now, edit = clock.now(), _edit_of(command)
    if edit is None:
        return
    follow, changes = edit.follow, edit.changes()
    for name, value in changes.items():
        setattr(follow, name, value)
    follow.remarked_at = now
    follow.save(update_fields=[*changes, "remarked_at"])
    if "remark_mobiles" in changes:
        sync_remark_mobiles({follow.pk: (follow.contact_id, tuple(follow.remark_mobiles))}, now=now)
    roots = set(roots_of([follow.contact_id]).values())
    refresh_search(roots)
    if "remark" in changes:
        marks.mark(roots, "follow.remark")
    _end(edit, State.DONE)
    by = Actor("user", edit.actor_id) if edit.actor_id else Actor("system")
    record_events([
        NewEvent("follow.remarked", now, "product", f"follow.remarked:{edit.pk}", contact_id=follow.contact_id,
                 identity_id=follow.identity_id, member_id=follow.member_id, actor=actor_label(by),
                 payload={"fields": sorted(changes)})
    ])  # fmt: skip


def _on_refused(command: OutboundCommand, refusal: Refusal) -> None:
    known = {
        84061: _("客户已不是这位导购的好友"),
        40096: _("企业微信不认识这位客户"),
        60111: _("企业微信里没有这位导购"),
        48002: _("应用没有修改客户备注的权限,请联系 IT 在企业微信后台打开"),
    }
    edit = _edit_of(command)
    if edit is not None:
        _end(edit, State.FAILED, known.get(refusal.errcode or 0) or refusal.message)


def _on_parked(command: OutboundCommand) -> None:
    edit = _edit_of(command)
    if edit is not None:
        _end(edit, State.FAILED, _("企业微信多次没有接受,已搁置"))


def _end(edit: RemarkEdit, state: str, error: str = "") -> None:
    edit.state, edit.last_error, edit.settled_at = state, error[:200], clock.now()
    edit.save(update_fields=["state", "last_error", "settled_at"])


REMARK_COMMAND = CommandKind(
    name=COMMAND,
    policy="idempotent",
    build=_build,
    on_result=_on_result,
    on_refused=_on_refused,
    on_parked=_on_parked,
    priority=20,
    label=gettext_lazy("修改备注"),
)
