"""What contacts keep of a person, and how it goes when she is erased."""

from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import EndedBy, HandoverRow, Relation, RowState
from tenants import erasure
from tenants.erasure import Eraser, Holdup, Subject
from tenants.ledger.models import Job

# Of a fact's payload what is counted: money, channel, how she came. Words and names are not among them.
COUNTED = frozenset({"amount_minor", "currency", "source", "number", "state", "add_way", "scene"})
CUSTOMER = 2  # GroupMembership.kind


def of_contact(subject: Subject) -> Q:
    return Q(contact_id__in=subject.pks("contacts.Contact"))


def of_follow(subject: Subject) -> Q:
    return Q(follow_id__in=subject.pks("contacts.Follow"))


def itself(label: str) -> erasure.Find:
    """The rows named by the subject."""
    return lambda subject: Q(pk__in=subject.pks(label))


def _memberships(subject: Subject) -> Q:
    return of_contact(subject) | Q(userid__in=subject.texts(), kind=CUSTOMER, contact__isnull=True)


def _fact_key(row: Any, subject: Subject) -> str:
    """Keys derived from her ids; the others guard against a fact being told twice."""
    names_her = "pair:" in row.fact_key or subject.cleaned(row.fact_key) != row.fact_key
    return f"{row.kind}:erased:{row.pk}" if names_her else row.fact_key


def _fact_subject(row: Any, subject: Subject) -> str:
    """Facts of one relation stay together: what came back is counted by it."""
    return f"erased:{subject.digest(row.subject)[:32]}" if row.subject.startswith("pair:") else row.subject


def _ended(row: Any, subject: Subject) -> str:
    """No relation that WeCom still lists: a comparison would miss her there. How it ended stays with the period and the fact."""
    return Relation.UNKNOWN.value if row.relation in (Relation.ACTIVE, Relation.DELETED_BY_CUSTOMER) else row.relation


ERASERS = (
    Eraser(
        "contacts.Contact", _("客户资料"), itself("contacts.Contact"), at_cut=True,
        blank={
            "name": "", "avatar_url": "", "gender": 0, "birthday": None, "corp_name": "", "custom": lambda row, subject: {},
            "search_text": "", "stage": None, "stage_since": None, "ruled_stage": None, "owner": None, "store": None,
            "active_follows": 0, "first_added_at": None, "last_added_at": None, "opt_out_until": None,
            "opt_out_source": "erased", "opt_out_since": lambda row, subject: subject.at,
            "erased_at": lambda row, subject: subject.at, "updated_at": lambda row, subject: subject.at,
        },
    ),
    Eraser(
        "contacts.Identity", _("外部编号"), itself("contacts.Identity"), at_cut=True,
        blank={"value": lambda row, subject: f"~{row.pk}"},
    ),
    Eraser("contacts.ContactPhone", _("手机号"), of_contact, at_cut=True),
    Eraser(
        "contacts.Follow", _("好友关系与备注"), itself("contacts.Follow"), at_cut=True,
        blank={
            "remark": "", "description": "", "remark_company": "", "remark_mobiles": lambda row, subject: [],
            "relation": _ended,
        },
    ),
    Eraser(
        "contacts.FollowPeriod", _("在加时段"), lambda subject: of_follow(subject) & Q(ended_at__isnull=True), at_cut=True,
        blank={
            "ended_by": EndedBy.UNKNOWN.value,
            "ended_at": lambda row, subject: max(subject.at, row.added_at),
        },
    ),
    Eraser(
        "contacts.GroupMembership", _("群成员"), _memberships, at_cut=True, sweep=("invitor_userid",),
        blank={
            "name": "", "group_nickname": "",
            "userid": lambda row, subject: subject.marks.get(row.userid, row.userid),
        },
    ),
    Eraser(
        "contacts.ContactMerge", _("合并记录"), at_cut=True, blank={"taken": lambda row, subject: {}},
        find=lambda subject: Q(kept_id__in=subject.pks("contacts.Contact")) | Q(gone_id__in=subject.pks("contacts.Contact")),
    ),
    Eraser("contacts.Note", _("跟进记录"), of_contact),
    Eraser("contacts.Todo", _("待办"), of_contact),
    Eraser("contacts.RemarkEdit", _("备注修改"), of_follow),
    Eraser("contacts.DetailChange", _("客户资料的修改"), of_contact),
    Eraser("contacts.ConsentRecord", _("同意记录的依据"), of_contact, blank={"evidence": ""}, staff=("noted_by_name",)),
    Eraser("contacts.StageTransition", _("阶段变更的原因"), of_contact, blank={"reason": ""}),
    Eraser(
        "contacts.TimelineEvent", _("时间线"), of_contact, sweep=("payload", "fact_key"),
        blank={
            "payload": lambda row, subject: {key: value for key, value in row.payload.items() if key in COUNTED},
            "fact_key": _fact_key,
            "subject": _fact_subject,
        },
    ),
    Eraser(
        "contacts.ImportRow", _("导入的行"), lambda subject: Q(target_id__in=subject.pks("contacts.Contact"), run__kind="contacts"),
        sweep=("key", "values", "changes", "problem"),
    ),
    Eraser(
        "contacts.Duplicate", _("待合并"),
        lambda subject: Q(first_id__in=subject.pks("contacts.Contact")) | Q(second_id__in=subject.pks("contacts.Contact")),
    ),
    Eraser("contacts.Clash", _("撞单"), of_contact, blank={"fact_key": lambda row, subject: f"erased:{row.pk}"}),
    Eraser("contacts.PhoneToAdd", _("待加好友的号码"), lambda subject: of_contact(subject) | Q(phone__in=subject.texts())),
    Eraser("contacts.SharedPhone", _("多人共用的号码"), sweep=("phone",)),
    Eraser("contacts.GroupChat", _("群名与群公告"), sweep=("name", "notice")),
    Eraser("contacts.SavedView", _("保存的视图"), sweep=("name", "filters", "tree")),
    Eraser("contacts.BulkChange", _("批量操作记录"), sweep=("params", "title")),
)  # fmt: skip


def _count_handovers(subject: Subject) -> int:
    return HandoverRow.objects.filter(of_follow(subject), state__in=(RowState.ASKING, RowState.SENT)).count()


def _stop_handovers(subject: Subject) -> None:
    waiting = HandoverRow.objects.filter(of_follow(subject), state=RowState.WAITING)
    waiting.update(state=RowState.STOPPED, reason="erased", settled_at=subject.at)


def _count_jobs(subject: Subject) -> int:
    """Exports and imports under way: their files may name her."""
    return Job.objects.filter(state__in=(Job.State.QUEUED, Job.State.RUNNING)).count()


def _entities(subject: Subject) -> set[str]:
    follows = {f"follow:{pk}" for pk in subject.pks("contacts.Follow")}
    return follows | {f"todo:{pk}" for pk in subject.pks("contacts.Todo")}


def register() -> None:
    """Tell the registry."""
    erasure.register(*ERASERS)
    erasure.holds_nothing("contacts.Member", _("导购是商户的员工,不是客户"))
    erasure.holds_nothing("contacts.ErasureRequest", _("理由随删除一并清除,证明里只有数字"))
    erasure.register_entities(_entities)
    erasure.register_holdup(Holdup("handovers", _("客户继承"), _count_handovers, _stop_handovers))
    erasure.register_holdup(Holdup("jobs", _("导出与导入任务"), _count_jobs))
