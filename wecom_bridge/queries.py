"""What the pages of the bridge show."""

from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Count, Model, QuerySet, Sum
from django.utils.translation import gettext as _

from scrm.ui.numbers import number
from tenants.context import current_tenant
from tenants.ledger.models import Job
from tenants.models import CallbackRoute
from wecom_bridge.models import (
    Corp,
    CorpCredential,
    DoctorFinding,
    InboundEvent,
    OutboundCommand,
    SyncRun,
    SyncUnit,
    VerifyFile,
)

PAGE = 50
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class CorpCard:
    """A corp on the overview: its credential's health, and its latest run."""

    corp: Corp
    credential: CorpCredential | None
    run: SyncRun | None
    callback_opaque: str


def list_corps() -> list[CorpCard]:
    """Every corp with what the overview says of it. Four queries."""
    credentials = {row.corp_id: row for row in CorpCredential.objects.defer("secret", "access_token")}
    latest = SyncRun.objects.exclude(kind=SyncRun.Kind.LISTS).order_by("corp_id", "-id").distinct("corp_id")
    runs = {run.corp_id: run for run in latest}
    routes = dict(CallbackRoute.objects.filter(tenant=current_tenant()).values_list("corp_pk", "opaque"))
    corps = Corp.objects.order_by("id")
    return [CorpCard(corp, credentials.get(corp.pk), runs.get(corp.pk), routes.get(corp.pk, "")) for corp in corps]


def count_by_state(model: type[InboundEvent] | type[OutboundCommand], **only: str) -> dict[str, int]:
    """state → rows, for tabs and stats."""
    rows = model._default_manager.filter(**only).values_list("state").annotate(n=Count("pk")).order_by()
    return dict(rows)


def page_of(rows: QuerySet[M], before: int | None) -> tuple[list[M], int | None]:
    """(the newest rows below the id `before`, where the next page begins or None)."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None


def list_commands(state: str, kind: str, before: int | None) -> tuple[list[OutboundCommand], int | None]:
    """Commands, newest first; all states or kinds for an empty one. Payloads stay in the database."""
    rows = OutboundCommand.objects.select_related("corp").defer("payload", "result")
    only = {name: value for name, value in (("state", state), ("kind", kind)) if value}
    return page_of(rows.filter(**only), before)


def count_units(run: SyncRun, kind: str) -> tuple[int, int]:
    """(settled, all) units of a kind."""
    units = SyncUnit.objects.filter(run=run, kind=kind)
    return units.exclude(state=SyncUnit.State.WAITING).count(), units.count()


def count_written(run: SyncRun) -> int:
    """Relations told to the handlers so far."""
    told = SyncUnit.objects.filter(run=run, kind=SyncUnit.WRITE).aggregate(n=Sum("fetched"))["n"]
    return int(told or run.counts.get("applied", 0))


def list_steps(run: SyncRun) -> list[dict[str, Any]]:
    """The steps of a run as ui/stepper wants them, with their figures."""
    people, groups = count_units(run, "contacts"), count_units(run, "group")
    steps = [
        (_("组织与标签"), ("directory", "tags"), ""),
        (
            _("读取客户"),
            ("first_page", "customers"),
            _("%(done)s / %(all)s 位成员") % {"done": number(people[0]), "all": number(people[1])},
        ),
        (
            _("比对客户") if run.kind == SyncRun.Kind.COMPARE else _("写入客户"),
            ("write",),
            _("%(n)s 段好友关系") % {"n": number(count_written(run))},
        ),
        (
            _("客户群"),
            ("group_lists", "groups"),
            _("%(done)s / %(all)s 个群") % {"done": number(groups[0]), "all": number(groups[1])},
        ),
        (_("核对与完成"), ("compare", "remove", "ask_directory", "remove_directory", "finish"), ""),
    ]
    if run.kind == SyncRun.Kind.LISTS:
        steps = [steps[0], steps[-1]]
    at = next((i for i, step in enumerate(steps) if run.step in step[1]), 0)
    over = run.state == SyncRun.State.DONE
    return [
        {"label": f"{label} {figure}".strip(), "state": "done" if over or i < at else "now" if i == at else "next"}
        for i, (label, _names, figure) in enumerate(steps)
    ]


def find_job(run: SyncRun) -> Job | None:
    """The job that shows the run's progress."""
    return Job.objects.filter(pk=run.job_id).first() if run.job_id else None


def list_findings(corp: Corp) -> dict[str, DoctorFinding]:
    """key → what the doctor last found."""
    return {row.key: row for row in DoctorFinding.objects.filter(corp=corp)}


def list_verify_files() -> list[VerifyFile]:
    """The console's files that are served, newest first."""
    return list(VerifyFile.objects.order_by("-uploaded_at")[:5])
