"""What a merchant decided about sending: hours, slots, caps, quota. Kept under `campaigns` of the tenant's policy."""

from dataclasses import dataclass, fields, replace
from datetime import time
from typing import Any, Literal
from zoneinfo import ZoneInfo

from tenants.context import current_tenant

QuotaRule = Literal["month_days", "week_7", "day_1"]


@dataclass(frozen=True)
class SendPolicy:
    """Product rules with their defaults; a tenant's own values win."""

    zone: ZoneInfo
    quiet_from: time = time(21, 0)
    quiet_to: time = time(9, 0)
    confirm_by: time = time(20, 30)
    slots: tuple[time, ...] = (time(10, 0), time(15, 0), time(19, 30))
    caps_on: bool = True
    cap_per_day: int = 1
    cap_promotions_per_day: int = 1
    cap_promotions_per_week: int = 2
    group_cap_per_day: int = 1
    group_cap_promotions_per_week: int = 3
    # WeCom's own limit on received mass messages, as the corp's administrator chose it in its console.
    quota: QuotaRule = "month_days"
    quota_counts_personal: bool = True
    ledger_hours: int = 26
    opt_out_tag: str = "免打扰"
    # Off: silence is not sent. On: a unit that stood in 今日 for two hours becomes a task without 同意.
    silence_agrees: bool = False

    def is_quiet(self, at: time) -> bool:
        """Whether a wall clock reading lies in the quiet hours; their end belongs to the day."""
        if self.quiet_from <= self.quiet_to:
            return self.quiet_from <= at < self.quiet_to
        return at >= self.quiet_from or at < self.quiet_to


def send_policy() -> SendPolicy:
    """The policy of the tenant in scope. Unknown keys and unreadable values keep the default; slots in quiet hours are none."""
    tenant = current_tenant()
    own: dict[str, Any] = tenant.policy.get("campaigns") or {}
    known = {field.name: field for field in fields(SendPolicy)}
    chosen = {key: _read(value, known[key].default) for key, value in own.items() if key in known and key != "zone"}
    policy = SendPolicy(zone=ZoneInfo(tenant.time_zone), **chosen)
    slots = tuple(slot for slot in policy.slots if not policy.is_quiet(slot))
    return replace(policy, slots=slots or (policy.quiet_to,))


def _read(value: Any, default: Any) -> Any:
    try:
        if isinstance(default, time):
            return time.fromisoformat(value)
        if isinstance(default, tuple):
            return tuple(sorted(time.fromisoformat(one) for one in value)) or default
    except (TypeError, ValueError):
        return default
    return value if type(value) is type(default) else default
