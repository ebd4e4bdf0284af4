"""通知时间, 确认截止时间, quiet hours and send slots: plain arithmetic in the tenant's time, answers in UTC."""

from datetime import UTC, date, datetime, time, timedelta

from django.utils.translation import gettext as _

from campaigns.policy import SendPolicy
from scrm.lib.errors import UserError

# A request that nobody released this long before its deadline lapses.
RELEASE_MARGIN = timedelta(hours=1)
LATEST = time(23, 59)


def at_local(day: date, at: time, policy: SendPolicy) -> datetime:
    """The instant of a wall clock reading. In a gap or a fold of daylight saving, the earlier offset counts."""
    return datetime.combine(day, at, policy.zone).astimezone(UTC)


def local_day(instant: datetime, policy: SendPolicy) -> date:
    return instant.astimezone(policy.zone).date()


def is_quiet(instant: datetime, policy: SendPolicy) -> bool:
    """Whether an instant lies in the quiet hours; their end belongs to the day."""
    return policy.is_quiet(instant.astimezone(policy.zone).time())


def quiet_end(instant: datetime, policy: SendPolicy) -> datetime:
    """When the quiet hours around an instant are over; the instant itself outside of them."""
    if not is_quiet(instant, policy):
        return instant
    today = at_local(local_day(instant, policy), policy.quiet_to, policy)
    return (
        today if today > instant else at_local(local_day(instant, policy) + timedelta(days=1), policy.quiet_to, policy)
    )


def day_window(instant: datetime, policy: SendPolicy) -> tuple[datetime, datetime]:
    """The tenant's calendar day around an instant, as [from, to)."""
    day = local_day(instant, policy)
    return at_local(day, time(), policy), at_local(day + timedelta(days=1), time(), policy)


def quota_window(instant: datetime, policy: SendPolicy) -> tuple[datetime, datetime, int]:
    """WeCom's quota period around an instant as [from, to), and how many messages a customer may receive in it."""
    day = local_day(instant, policy)
    if policy.quota == "day_1":
        return *day_window(instant, policy), 1
    if policy.quota == "week_7":
        monday = day - timedelta(days=day.weekday())
        return at_local(monday, time(), policy), at_local(monday + timedelta(days=7), time(), policy), 7
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return at_local(first, time(), policy), at_local(following, time(), policy), (following - first).days


def default_confirm_by(notify_at: datetime, policy: SendPolicy) -> datetime:
    """The same day's deadline; where that leaves less than an hour, one hour, but never into the quiet hours or the next day.

    Of a notice in the quiet hours, the notice itself: nothing can be sent.
    """
    if is_quiet(notify_at, policy):
        return notify_at
    day, hour = local_day(notify_at, policy), timedelta(hours=1)
    quiet, night = at_local(day, policy.quiet_from, policy), at_local(day, LATEST, policy)
    last = min(quiet, night) if quiet > notify_at else night
    usual = min(at_local(day, policy.confirm_by, policy), last)
    return usual if usual >= notify_at + hour else min(notify_at + hour, last)


def default_notify_at(now: datetime, policy: SendPolicy) -> datetime:
    """The next slot that leaves two hours for 审批 and still ends before the quiet hours."""
    day = local_day(now, policy)
    for offset in range(3):
        for slot in policy.slots:
            at = at_local(day + timedelta(days=offset), slot, policy)
            if at >= now + timedelta(hours=2) and default_confirm_by(at, policy) - at >= timedelta(hours=1):
                return at
    return at_local(day + timedelta(days=1), time(10, 0), policy)


def next_slot(after: datetime, policy: SendPolicy) -> datetime:
    """The first send slot strictly after an instant."""
    day = local_day(after, policy)
    instants = (at_local(day + timedelta(days=offset), slot, policy) for offset in (0, 1) for slot in policy.slots)
    return next(at for at in instants if at > after)


def check_times(notify_at: datetime | None, confirm_by: datetime | None, *, now: datetime, policy: SendPolicy) -> None:
    """Raises UserError unless 通知时间 and 确认截止时间 can be kept: in order, on one day outside the quiet hours (in between,
    guides confirm whenever they like), time left for 审批.
    """
    if notify_at is None or confirm_by is None:
        raise UserError(_("请先选好通知时间和确认截止时间。"), code="times_missing")
    if confirm_by <= notify_at:
        raise UserError(_("确认截止时间要晚于通知时间。"), code="deadline_before_notice")
    over_night = local_day(notify_at, policy) != local_day(confirm_by, policy)
    if over_night or is_quiet(notify_at, policy) or is_quiet(confirm_by - timedelta(seconds=1), policy):
        hours = f"{policy.quiet_from:%H:%M}–{policy.quiet_to:%H:%M}"
        raise UserError(
            _("%(hours)s 不打扰客户:通知时间和确认截止时间要在同一天,并都在这之外。") % {"hours": hours},
            code="quiet_hours",
        )
    if confirm_by - RELEASE_MARGIN <= now:
        raise UserError(
            _("离确认截止时间不到一小时,来不及审批和确认。请把确认截止时间改晚。"), code="deadline_too_close"
        )
