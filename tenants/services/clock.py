"""Moving a sandbox tenant's domain clock."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib.errors import NotAllowed
from tenants import jobs
from tenants.context import public_scope
from tenants.models import Tenant


def set_offset(tenant: Tenant, offset: timedelta) -> Tenant:
    """Shift a sandbox tenant's domain clock to wall time plus `offset` (whole seconds) and wake every lane.

    Raises NotAllowed for a tenant that is no sandbox, and everywhere on a site without ALLOW_SANDBOX. The scope at hand
    keeps the clock it was entered with.
    """
    if not settings.ALLOW_SANDBOX or not tenant.is_sandbox:
        raise NotAllowed(_("只有沙箱商户可以调整时间,这个商户不是沙箱。"), code="not_a_sandbox")
    with public_scope(), transaction.atomic():
        row: Tenant = Tenant.objects.select_for_update().get(pk=tenant.pk)
        row.clock_offset_seconds = int(offset.total_seconds())
        row.save(update_fields=["clock_offset_seconds"])
        jobs.nudge_every_lane(row.pk)
    return row
