"""How old our picture is: the last full read, and the member whose customers were read the longest ago."""

from datetime import datetime, timedelta

from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib import clock
from wecom_bridge.models import Corp, SyncRun, SyncUnit
from wecom_bridge.services.doctor.finding import Check, Finding, bad, ok, warn
from wecom_bridge.services.doctor.patient import Patient

LATE, VERY_LATE = timedelta(hours=36), timedelta(days=7)  # all is read nightly; one night may fail
_READ = (SyncUnit.State.FETCHED, SyncUnit.State.EMPTY, SyncUnit.State.APPLIED)


def oldest_member(corp: Corp) -> tuple[str, datetime | None, int] | None:
    """(userid, when her customers were last read completely or None for never, how many are as late) of the members of the
    latest run. None before the first run."""
    run = SyncRun.objects.filter(corp=corp).order_by("-id").first()
    if run is None:
        return None
    units = SyncUnit.objects.filter(kind="contacts", run__corp=corp)
    wanted = set(units.filter(run=run).values_list("key", flat=True))
    read = dict(units.filter(state__in=_READ).values_list("key").annotate(at=Max("run__started_at")))
    if not wanted:
        return None
    first = datetime.min.replace(tzinfo=clock.wall().tzinfo)
    late = sorted(wanted, key=lambda userid: (read.get(userid) or first, userid))
    oldest = read.get(late[0])
    return late[0], oldest, sum(1 for userid in late if read.get(userid) == oldest)


def check_synced(patient: Patient) -> Finding | None:
    """The last full read. Nothing to say before the first one: the guided page begins it."""
    at = patient.corp.last_synced_at
    if at is None:
        return None
    return _by_age(at, ok(_("最近一次完整同步在一天半以内。"), at=at.isoformat()), _("整个企业"))


def check_members(patient: Patient) -> Finding | None:
    """The member who waits the longest."""
    found = oldest_member(patient.corp)
    if found is None or patient.corp.last_synced_at is None:
        return None
    userid, at, count = found
    fix = _("到「企业微信接入 › 最近一次」看原因,处理后再同步;无权限的先补可见范围和客户联系。")
    if at is None:
        saw = _("%(n)s 位成员的客户从来没有读到过,例如 %(userid)s。") % {"n": count, "userid": userid}
        return bad(saw, _("他们的客户不是没有,是不知道。"), fix, never=count)
    return _by_age(at, ok(_("每位成员的客户都读到过。"), at=at.isoformat()), userid)


def _by_age(at: datetime, fine: Finding, who: str) -> Finding:
    age = clock.wall() - at
    if age <= LATE:
        return fine
    saw = _("%(who)s 已有 %(days)s 天没有完整读取。") % {"who": who, "days": max(1, age.days)}
    why = _("漏掉的回调靠每天的完整读取补上,这里的人数可能不准。")
    judge = bad if age > VERY_LATE else warn
    return judge(saw, why, _("到「企业微信接入」点「开始同步」。"), at=at.isoformat())


CHECKS = (
    Check("synced", "health", gettext_lazy("完整同步"), check_synced),
    Check("members", "health", gettext_lazy("最久没同步的成员"), check_members),
)
