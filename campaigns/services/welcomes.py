"""欢迎语: which one, and what became of it. Twenty seconds, one shot: the row is written before anything is called."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from campaigns.models import WelcomeSend, WelcomeTemplate
from campaigns.rendering import check_message, names_customer, render
from contacts.models import Identity, Member, Store
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor
from wecom_bridge import commands
from wecom_bridge.contracts import EventFact
from wecom_bridge.models import Corp

SEND = "welcome.send"
CODE_LIVES = timedelta(seconds=20)
State = WelcomeSend.State


def code_digest(corp: Corp, code: str) -> str:
    """What tells a welcome code apart without keeping it."""
    return hashlib.sha256(f"{corp.corp_id}:{code}".encode()).hexdigest()


def resolve(corp: Corp, fact: EventFact) -> None:
    """Choose the welcome of a code and ask for it to be sent, once per code. Runs before anything else is read.

    Without a template nothing is sent: the row says so, and WeCom's own welcome, if any, is none of ours.
    """
    code = fact.fields["WelcomeCode"]
    userid, external_userid = fact.fields.get("UserID", ""), fact.fields.get("ExternalUserID", "")
    member = Member.objects.select_related("store").filter(corp=corp, id_space=corp.id_space, userid=userid).first()
    template = choose(member.store_id if member else None, fact.fields.get("State", ""))
    send = WelcomeSend(
        corp=corp,
        code_digest=code_digest(corp, code),
        member_userid=userid,
        external_userid=external_userid,
        template=template,
        state=State.WAITING if template else State.FAILED,
        reason="" if template else "no_template",
        received_at=fact.received_at,
    )
    # A callback that comes twice carries the same code: one row, one command.
    WelcomeSend.objects.bulk_create([send], ignore_conflicts=True)
    if template is None:
        return
    stored = WelcomeSend.objects.get(code_digest=send.code_digest)
    commands.enqueue(
        SEND,
        corp=corp,
        entity_key=f"welcome:{stored.pk}",
        dedupe_key=f"welcome:{send.code_digest}",
        subject_id=stored.pk,
        payload={"code": code},
        priority=0,
    )


def choose(store_id: int | None, state: str) -> WelcomeTemplate | None:
    """The first enabled template by priority that fits store and channel state, the more exact one first; else the default."""
    fitting = WelcomeTemplate.objects.filter(is_enabled=True).filter(
        Q(is_default=True) | (Q(store__isnull=True) | Q(store_id=store_id)) & (Q(state="") | Q(state=state))
    )
    # A template that is not the default must name what it is for.
    named = [one for one in fitting if not one.is_default and (one.store_id or one.state)]
    if named:
        return min(named, key=lambda one: (-one.priority, not one.state, not one.store_id, one.pk))
    return next((one for one in fitting if one.is_default), None)


def message_of(send: WelcomeSend, corp: Corp) -> dict[str, Any]:
    """Text and attachments as send_welcome_msg takes them. A customer whose name we do not know gets the neutral wording."""
    template = send.template
    assert template is not None
    member = (
        Member.objects.select_related("store")
        .filter(corp=corp, id_space=corp.id_space, userid=send.member_userid)
        .first()
    )
    text, customer = template.text, None
    if names_customer(text):
        known = Identity.objects.filter(
            kind="external", scope=corp.corp_id, id_space=corp.id_space, value=send.external_userid
        )
        identity = known.select_related("contact").first()
        customer = identity.contact if identity else None
        if customer is None or not customer.name:
            text = template.neutral_text
    rendered = render(text, guide=member, store=member.store if member else None, customer=customer)
    body: dict[str, Any] = {"text": {"content": rendered}} if rendered else {}
    return body | ({"attachments": template.attachments} if template.attachments else {})


def is_late(send: WelcomeSend, at: datetime) -> bool:
    """Whether the code is dead by now (wall time)."""
    return at - send.received_at >= CODE_LIVES


@transaction.atomic
def mark_late(send_id: int) -> None:
    """The code died before we came to it: nothing is called."""
    WelcomeSend.objects.filter(pk=send_id, state=State.WAITING).update(state=State.LATE, reason="not_called_in_time")


def record_sent(send_id: int, *, at: datetime) -> None:
    """WeCom took it."""
    send = WelcomeSend.objects.select_for_update().get(pk=send_id)
    if send.state in (State.SENT, State.OTHER):
        return
    latency = round((at - send.received_at).total_seconds() * 1000)
    WelcomeSend.objects.filter(pk=send_id).update(state=State.SENT, reason="", sent_at=at, latency_ms=max(latency, 0))


def record_unknown(send_id: int) -> None:
    """The answer was lost and the code died before it could be tried again."""
    WelcomeSend.objects.filter(pk=send_id, state=State.WAITING).update(state=State.UNKNOWN, reason="answer_lost")


def record_refused(send_id: int, *, errcode: int | None, message: str, was_in_doubt: bool, at: datetime) -> None:
    """WeCom's no. 41050, 41051: the code is spent or dead: by another source, by our own lost call, or by time."""
    send = WelcomeSend.objects.select_for_update().get(pk=send_id)
    if send.state != State.WAITING:
        return
    if errcode in (41050, 41051):
        if was_in_doubt:
            state, reason = State.UNKNOWN, "answer_lost"
        elif errcode == 41050 and is_late(send, at):
            state, reason = State.LATE, "code_expired"
        else:
            state, reason = State.OTHER, str(errcode)
    else:
        state, reason = State.FAILED, f"{errcode or ''} {message}".strip()[:60]
    WelcomeSend.objects.filter(pk=send_id).update(state=state, reason=reason)


# --- Editing --------------------------------------------------------------------------------------------------------


@transaction.atomic
def save_template(
    template: WelcomeTemplate | None,
    *,
    name: str,
    text: str,
    neutral_text: str,
    attachments: list[dict[str, Any]],
    store: Store | None,
    state: str,
    priority: int,
    is_default: bool,
    is_enabled: bool,
    by: Actor,
) -> WelcomeTemplate:
    """Create or change a welcome. Raises UserError when its carrier cannot carry it, or when it answers nobody."""
    check_message(text, attachments, "welcome")
    if names_customer(text):
        if not neutral_text.strip():
            raise UserError(
                _("文字里有{客户昵称}。请再写一份不带昵称的,名字来不及取到时用它。"),
                code="neutral_missing",
                fields={"neutral_text": "required"},
            )
        if names_customer(neutral_text):
            raise UserError(
                _("备用文字里不能再有{客户昵称}。"), code="neutral_names", fields={"neutral_text": "variable"}
            )
        check_message(neutral_text, attachments, "welcome")
    if not (is_default or store or state):
        raise UserError(_("请选择它用于哪家门店或哪个渠道,或者设为默认。"), code="answers_nobody")
    if is_default:
        others = WelcomeTemplate.objects.filter(is_default=True)
        (others.exclude(pk=template.pk) if template else others).update(is_default=False)
    row = template or WelcomeTemplate(created_at=clock.now())
    row.name, row.text, row.neutral_text, row.attachments = name, text, neutral_text, attachments
    row.store, row.state, row.priority = store, state.strip(), priority
    row.is_default, row.is_enabled = is_default, is_enabled
    row.save(
        update_fields=None if row.pk is None else [
            "name", "text", "neutral_text", "attachments", "store", "state", "priority", "is_default", "is_enabled"
        ]
    )  # fmt: skip
    audit.record("welcome.saved", row, by=by)
    return row
