"""接入清单: a link for WeCom's super-admin, who has no log-in here. It shows what to do and which of it is done, never a secret."""

from datetime import timedelta

from django.core import signing
from django.core.cache import cache
from django.db import transaction

from scrm.lib import clock
from tenants import audit, locks
from tenants.audit import Actor
from tenants.paths import scope_name
from wecom_bridge.models import ChecklistLink, Corp, DoctorFinding
from wecom_bridge.services import doctor

LIFE = timedelta(days=7)
LOOK_AGAIN_SECONDS = 60  # a page left open must not become a stream of calls


@transaction.atomic
def make_link(corp: Corp, *, by: Actor) -> ChecklistLink:
    """A link that is good for a week. Earlier ones of the corp end: one link is passed on, and one can be taken back."""
    # Or two made side by side would each miss the other, and both would stand.
    locks.lock_in_transaction(f"checklist:{corp.pk}")
    now = clock.wall()
    ChecklistLink.objects.filter(corp=corp, revoked_at=None).update(revoked_at=now)
    link = ChecklistLink.objects.create(corp=corp, created_at=now, expires_at=now + LIFE)
    audit.record("corp.checklist_made", corp, by=by, link=link.pk)
    return link


@transaction.atomic
def revoke_link(link: ChecklistLink, *, by: Actor) -> None:
    """The link leads nowhere from now on. Taking it back twice changes nothing."""
    if ChecklistLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=clock.wall()):
        audit.record("corp.checklist_revoked", link.corp, by=by, link=link.pk)


def token_of(link: ChecklistLink) -> str:
    """What its address ends in: signed for this merchant alone, so that nobody can make one up."""
    return _signer().sign(str(link.pk))


def find_link(token: str) -> ChecklistLink | None:
    """The link of a token, unless it was made up, has expired or was taken back."""
    try:
        pk = int(_signer().unsign(token))
    except (signing.BadSignature, ValueError):
        return None
    live = ChecklistLink.objects.select_related("corp").filter(pk=pk, revoked_at=None, expires_at__gt=clock.wall())
    return live.first()


def current_link(corp: Corp) -> ChecklistLink | None:
    """The link that may be passed on, if there is one."""
    live = ChecklistLink.objects.filter(corp=corp, revoked_at=None, expires_at__gt=clock.wall())
    return live.order_by("-id").first()


def look_again(corp: Corp) -> None:
    """Bring the ticks up to date, at most once a minute per corp whoever watches: by the rows too, for the cache may be away."""
    recent = clock.wall() - timedelta(seconds=LOOK_AGAIN_SECONDS)
    if DoctorFinding.objects.filter(corp=corp, checked_at__gt=recent).exists():
        return
    if cache.add(f"checklist-look:{corp.pk}", 1, LOOK_AGAIN_SECONDS):
        doctor.examine(corp, only=[step.key for step in doctor.steps.STEPS])


def _signer() -> signing.Signer:
    return signing.Signer(salt=f"bridge.checklist:{scope_name()}", sep=".")
