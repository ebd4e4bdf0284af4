"""SOPs as their pages show them."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Count, Q, QuerySet

from accounts.scope import DataScope, scope_from_json
from campaigns.models import Approval, Delivery, Enrollment, EnrollmentStep, Push, Sop, SopVersion
from campaigns.states import DeliveryState, PushKind
from contacts.queries import visible_contacts, visible_stores


def visible_sops(scope: DataScope) -> QuerySet[Sop]:
    """All for those who see everything; else one's own and those whose people are in the scope."""
    rows = Sop.objects.order_by("name")
    if scope.sees_all:
        return rows
    running = Enrollment.objects.filter(contact__in=visible_contacts(scope)).values("sop_id")
    return rows.filter(Q(created_by_id=scope.user_id) | Q(pk__in=running))


def sees_whole(sop: Sop, scope: DataScope) -> bool:
    """Whether everybody a SOP may reach lies within the scope: who does not see all of it may look, not change it."""
    if scope.sees_all:
        return True
    reaches = [scope_from_json(version.within) for version in sop.versions.all()]
    if any(within.sees_all for within in reaches):
        return False
    hers = visible_stores(scope).values("pk")
    return not any(visible_stores(within).exclude(pk__in=hers).exists() for within in reaches)


def latest_versions(sop_ids: Iterable[int]) -> dict[int, SopVersion]:
    """SOP → its newest version, released or not. One query."""
    rows = (
        SopVersion.objects.filter(sop_id__in=list(sop_ids))
        .order_by("sop_id", "-number")
        .distinct("sop_id")
        .select_related("sop")
    )
    return {row.sop_id: row for row in rows}


def enrollment_counts(sop_ids: Iterable[int], scope: DataScope) -> dict[int, dict[str, int]]:
    """SOP → state → people in the scope. One query."""
    rows = Enrollment.objects.filter(sop_id__in=list(sop_ids))
    if not scope.sees_all:
        rows = rows.filter(contact__in=visible_contacts(scope))
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for sop_id, state, number in rows.values_list("sop_id", "state").annotate(n=Count("pk")):
        found[sop_id][state] = number
    return found


def step_counts(version: SopVersion) -> dict[int, dict[str, int]]:
    """Step → state of the enrolments' steps → how many; and `sent` of what its pushes brought. Two queries."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    rows = EnrollmentStep.objects.filter(step__version=version).values_list("step_id", "state").annotate(n=Count("pk"))
    for step_id, state, number in rows:
        found[step_id][state] = number
    sent = Delivery.objects.filter(
        push__kind=PushKind.SOP, push__source_id=version.pk, state=DeliveryState.SENT
    ).values_list("push__source_version")
    for step_id, number in sent.annotate(n=Count("pk")):
        found[step_id]["sent"] = number
    return found


def pushes_of(version_ids: Iterable[int], limit: int = 20) -> QuerySet[Push]:
    """The latest pushes of versions."""
    return Push.objects.filter(kind=PushKind.SOP, source_id__in=list(version_ids)).order_by("-notify_at")[:limit]


def running_customers(sop: Sop, scope: DataScope, state: str = "") -> QuerySet[Enrollment]:
    """在跑客户 and those who were, newest first."""
    rows = Enrollment.objects.filter(sop=sop, contact__in=visible_contacts(scope))
    rows = rows.filter(state=state) if state else rows
    return rows.select_related("contact", "follow__member", "version").order_by("-entered_at", "-pk")


def waiting_request(version: SopVersion) -> Approval | None:
    """The request for a version's release that waits."""
    return Approval.objects.filter(subject_kind="sop", subject_id=version.pk, state=Approval.State.PENDING).first()
