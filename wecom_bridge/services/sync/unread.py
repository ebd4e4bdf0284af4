"""What WeCom kept from a run, for its page and for the nights: said, and never taken for a reading."""

from django.utils.translation import gettext as _

from wecom_bridge.models import SyncRun, SyncUnit

State = SyncUnit.State
_PLACES = ("list", "members", "group_list")  # kinds of units that stand for lists, not for a guide or a group


def in_short(run: SyncRun) -> str:
    """One sentence for the list of runs; empty when no list was refused."""
    denied = SyncUnit.objects.filter(run=run, kind__in=_PLACES, state=State.DENIED).count()
    if run.kind != SyncRun.Kind.LISTS and not has_read_customers(run):
        return _("企业微信拒绝了读取:没有读到任何成员的客户。原因见「没有读到的部分」和「每位成员的结果」。")
    return _("企业微信拒绝了 %(n)s 个列表:原因见「没有读到的部分」。") % {"n": denied} if denied else ""


def has_read_customers(run: SyncRun) -> bool:
    """Whether the run may stand for a reading of the corp: some guide's customers were read, or nobody was refused."""
    guides = SyncUnit.objects.filter(run=run, kind="contacts")
    refused = guides.filter(state=State.DENIED).exists()
    refused = refused or SyncUnit.objects.filter(run=run, kind="list", key="follow_users", state=State.DENIED).exists()
    return not refused or guides.filter(state__in=(State.FETCHED, State.EMPTY)).exists()
