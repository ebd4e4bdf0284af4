"""A merchant's own limits: where WeCom granted her more, or she wants less."""

from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import Actor
from wecom_bridge.governor import limits
from wecom_bridge.models import LimitOverride


@transaction.atomic
def set_limit(name: str, value: int, *, by: Actor) -> LimitOverride:
    """Put `every_api.minute`, `mark_tag.ceiling`, `share.sync` … at a value; all processes follow within 10 seconds.

    Raises UserError for a name that is none, one that all merchants share, or a value out of range.
    """
    if problem := limits.problem_with(name, value):
        raise UserError(_sentence(problem, name))
    row = LimitOverride.objects.select_for_update().filter(name=name).first()
    before = row.value if row else limits.documented().get(name)
    row, _made = LimitOverride.objects.update_or_create(
        name=name, defaults={"value": value, "changed_at": clock.wall()}
    )
    audit.record("limits.changed", row, by=by, name=name, before=before, after=value)
    transaction.on_commit(limits.forget)
    return row


@transaction.atomic
def clear_limit(name: str, *, by: Actor) -> bool:
    """Back to what WeCom documents; False when there was nothing to clear."""
    row = LimitOverride.objects.select_for_update().filter(name=name).first()
    if row is None:
        return False
    audit.record("limits.changed", row, by=by, name=name, before=row.value, after=limits.documented().get(name))
    row.delete()
    transaction.on_commit(limits.forget)
    return True


def _sentence(problem: str, name: str) -> str:
    if problem == "shared":
        return _("「%(name)s」按服务器出口 IP 计算,所有商户共用,不能只为一家修改。请改 limits.toml。") % {"name": name}
    if problem == "range":
        return _("「%(name)s」的数值超出范围。占比为 1–100 的整数,其他为正整数,且不超过企业微信公布值的 100 倍。") % {
            "name": name
        }
    return _("没有名为「%(name)s」的限制。可用的名称见 manage.py wecom_limits --tenant <商户> list。") % {"name": name}
