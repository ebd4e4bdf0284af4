"""What the alarm on a guide who deletes customers freezes: her log-in takes nothing along until a manager lifts it, with a reason.

WeCom offers no way to stop her there. Here the permissions that open files, whole phones and hand-overs, and changes of many at once,
are shut for her account from the next request on (accounts.freezing). Nobody lifts her own freeze.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.freezing import Freezer
from accounts.models import RoleGrant, User
from contacts.models import DeletionAlarm, Member, MemberAccount, Told
from contacts.services.telling import Message, Notice, working_instant
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, jobs
from tenants.audit import Actor
from tenants.ledger.models import AuditEntry

LANE = "deletion_alarms"
COMMAND = "deletion_alarm.tell"
LIFT = "freezes.lift"
REASON_MOST = 200
Scope = RoleGrant.Scope


def standing() -> QuerySet[DeletionAlarm]:
    """Freezes that nobody lifted."""
    return DeletionAlarm.objects.filter(frozen_at__isnull=False, lifted_at__isnull=True)


def _holder_is_frozen() -> Any:
    hers = Q(frozen_user_id=OuterRef("user_id")) | Q(member__account__user_id=OuterRef("user_id"))
    return Exists(standing().filter(hers))


def begin(alarms: Sequence[DeletionAlarm]) -> None:
    """Freeze the log-ins of new alarms' guides, and have their managers told; the alarms are not written yet. One query."""
    users = dict(
        MemberAccount.objects.filter(member__in={alarm.member_id for alarm in alarms}).values_list(
            "member_id", "user_id"
        )
    )
    now = clock.now()
    for alarm in alarms:
        alarm.frozen_at, alarm.frozen_user_id = now, users.get(alarm.member_id)
        alarm.tell_at, alarm.told = working_instant(now), Told.WAITING
    jobs.nudge(LANE, due_at=working_instant(now))


def put_on_record(alarms: Sequence[DeletionAlarm], action: str, *, by: Actor = audit.SYSTEM, **data: Any) -> None:
    """`account.frozen` or `account.unfrozen` of each that names a log-in."""
    for alarm in alarms:
        if alarm.frozen_at is not None:
            audit.record(
                action,
                alarm,
                by=by,
                member=alarm.member_id,
                user=alarm.frozen_user_id,
                day=alarm.day.isoformat(),
                **data,
            )


@transaction.atomic
def lift(alarms: QuerySet[DeletionAlarm], pk: int, reason: str, *, by: Actor) -> None:
    """End every freeze of the guide of this alarm; the alarms count as dealt with.

    Raises DoesNotExist outside `alarms`, which never hold one's own; Conflict when somebody was quicker; UserError without a reason.
    """
    reason = reason.strip()
    if not reason:
        raise UserError(_("请写明解除冻结的原因,例如「已和本人核实,清理的是无效客户」。"))
    if len(reason) > REASON_MOST:
        raise UserError(_("原因最多 %(most)d 个字,请写短一些。") % {"most": REASON_MOST})
    member_id = alarms.values_list("member_id", flat=True).get(pk=pk)
    found = list(standing().filter(member=member_id).select_for_update(of=("self",)).order_by("pk"))
    if not any(alarm.pk == pk for alarm in found):
        raise Conflict(_("这次冻结已经解除了,请刷新页面。"))
    now = clock.now()
    for alarm in found:
        alarm.lifted_at, alarm.lifted_by_id = now, by.id
        if alarm.handled_at is None:
            alarm.handled_at, alarm.handled_by_id = now, by.id
        if alarm.tell_at is not None:
            alarm.tell_at, alarm.told = None, Told.NOT
        alarm.save(update_fields=["lifted_at", "lifted_by_id", "handled_at", "handled_by_id", "tell_at", "told"])
    put_on_record(found, "account.unfrozen", by=by, reason=reason)


def reasons_of(alarms: Sequence[DeletionAlarm]) -> dict[int, AuditEntry]:
    """Alarm → the record of its lifting: who, and `data["reason"]`. One query."""
    rows = AuditEntry.objects.filter(
        action="account.unfrozen", subject_type=DeletionAlarm._meta.label_lower,
        subject_id__in=[str(alarm.pk) for alarm in alarms if alarm.lifted_at],
    )  # fmt: skip
    return {int(row.subject_id): row for row in rows.order_by("pk")}


# --- Who is asked and told --------------------------------------------------------------------------------------


def managers_of(members: Sequence[Member], among: Container[int] | None = None) -> dict[int, list[User]]:
    """Guide → who may lift her freeze: the nearest who may at all, of her store, else of its dealer or region, else of everything.

    members: with their stores loaded. among: ids of the users who come into question, everybody by default. Two queries.
    """
    holding = RoleGrant.objects.filter(role__permissions__contains=[LIFT], user__is_active=True)
    grants = list(
        holding.exclude(scope_kind=Scope.SELF).select_related("user").order_by("user__display_name", "user_id")
    )
    own = set(MemberAccount.objects.filter(member__in=members).values_list("member_id", "user_id"))
    found: dict[int, list[User]] = {}
    for member in members:
        store = member.store
        places = (
            {(Scope.STORE, store.pk)} if store else set(),
            {(Scope.DEALER, store.dealer_id), (Scope.REGION, store.region_id)} if store else set(),
            {(Scope.ALL, 0)},
        )
        for near in places:
            there = {
                grant.user_id: grant.user
                for grant in grants
                if (grant.scope_kind, grant.scope_id) in near
                and (member.pk, grant.user_id) not in own
                and (among is None or grant.user_id in among)
            }
            if there:
                found[member.pk] = list(there.values())
                break
    return found


def sentence(user: User) -> str:
    """Why the log-in is frozen, what is shut, and whom to ask."""
    hers = Q(frozen_user_id=user.pk) | Q(member__account__user_id=user.pk)
    alarm = standing().filter(hers).select_related("member__store").order_by("-day", "-pk").first()
    if alarm is None:  # lifted since the request began
        return _("您的账号刚刚解除冻结,请刷新页面。")
    asked = [one for one in managers_of([alarm.member]).get(alarm.member_id, []) if one.pk != user.pk]
    return _(
        "%(day)s 您在企业微信里删除了 %(count)d 位客户,超过平常的界限。%(what)s暂时不能使用,看客户、写跟进和今日任务照常。"
        "请联系%(who)s核实后解除。"
    ) % {
        "day": f"{alarm.day:%Y-%m-%d}",
        "count": alarm.deleted,
        "what": _("导出和下载、看完整手机号、批量操作、导入、客户继承"),
        "who": "、".join(one.display_name for one in asked[:3]) or _("总部管理员"),
    }


def _write(alarms: Sequence[DeletionAlarm]) -> Mapping[int, Sequence[Message]]:
    """To the nearest of those who are members at work: a message reaches nobody else."""
    accounts = MemberAccount.objects.filter(user__grants__role__permissions__contains=[LIFT])
    members: dict[int, list[Member]] = {}
    for account in accounts.exclude(member__status=Member.Status.LEFT).select_related("member").distinct():
        members.setdefault(account.user_id, []).append(account.member)
    managers = managers_of([alarm.member for alarm in alarms], members)

    def told(alarm: DeletionAlarm) -> list[Member]:
        bosses = [one.pk for one in managers.get(alarm.member_id, []) if one.pk != alarm.frozen_user_id]
        return [member for pk in bosses for member in members.get(pk, [])]

    return {alarm.pk: [_message(alarm, told(alarm))] for alarm in alarms}


def _message(alarm: DeletionAlarm, members: Sequence[Member]) -> Message:
    what = (
        _("已冻结她的导出、看完整手机号和批量操作,请核实后解除。")
        if alarm.frozen_user_id
        else _("该导购没有登录账号,没有可冻结的。请尽快联系本人。")
    )
    text = _("导购:%(guide)s\n门店:%(store)s\n日期:%(day)s\n删除客户:%(count)d 位\n%(what)s") % {
        "guide": alarm.member, "store": alarm.store or "—", "day": f"{alarm.day:%Y-%m-%d}", "count": alarm.deleted, "what": what,
    }  # fmt: skip
    return Message("managers", members, _("导购异常删除客户"), text, f"{reverse('contacts:ended_list')}?tab=alarms")


FREEZER = Freezer(_holder_is_frozen, sentence)
NOTICE = Notice(
    lane=LANE,
    command=COMMAND,
    label=gettext_lazy("导购异常删除通知"),
    model=DeletionAlarm,
    due="tell_at",
    state="told",
    error="told_error",
    quiet=Told.NOT.value,
    open=Q(handled_at__isnull=True),
    related=("member__store", "store"),
    write=_write,
    key=lambda alarm, corp_id, _name: f"{COMMAND}:{alarm.pk}:{corp_id}",
)
