"""Who can be reached, by whom, and why not: one set of SQL for the preflight, the freeze and the claim.

The statements are built of fragments over two relations that every use defines first:
`people(root_id, contact_id)`: a person with all rows that count as her; `voice(root_id, follow_id, …)`: who would speak to her.
Table and column names are our own; every value is a parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts.scope import DataScope
from campaigns.models import Delivery, Dispatch, LedgerCoverage, MassSend, MassSendResult, Push
from campaigns.policy import SendPolicy
from campaigns.queries.audience import Sql, ids_sql
from campaigns.times import day_window, quota_window
from contacts.models import Contact, Follow, GroupChat, Identity, Member, Store
from contacts.queries import visible_members
from tagging.models import FollowTag, Tag

T = {
    "contact": Contact._meta.db_table,
    "follow": Follow._meta.db_table,
    "identity": Identity._meta.db_table,
    "member": Member._meta.db_table,
    "store": Store._meta.db_table,
    "group": GroupChat._meta.db_table,
    "follow_tag": FollowTag._meta.db_table,
    "tag": Tag._meta.db_table,
    "delivery": Delivery._meta.db_table,
    "dispatch": Dispatch._meta.db_table,
    "push": Push._meta.db_table,
    "mass_send": MassSend._meta.db_table,
    "mass_result": MassSendResult._meta.db_table,
}


@dataclass(frozen=True)
class Frame:
    """What a verdict depends on besides the people.

    at: the instant of 通知时间; now: when it is judged. push_id: the push whose own deliveries do not count against it.
    counts_planned: at the freeze, what other pushes plan counts too; at the claim only what already went to WeCom.
    """

    at: datetime
    now: datetime
    message_class: str
    policy: SendPolicy
    within: DataScope
    push_id: int | None = None
    counts_planned: bool = True


@dataclass
class Params:
    """Named parameters, collected while a statement grows."""

    values: dict[str, Any]

    @classmethod
    def of(cls, frame: Frame) -> "Params":
        day_from, day_to = day_window(frame.at, frame.policy)
        quota_from, quota_to, quota = quota_window(frame.at, frame.policy)
        return cls(
            {
                "at": frame.at,
                "push_id": frame.push_id or 0,
                "day_from": day_from,
                "day_to": day_to,
                "week_from": day_to - timedelta(days=7),
                "is_promotion": frame.message_class == "promotion",
                "caps_on": frame.policy.caps_on,
                "cap_day": frame.policy.cap_per_day,
                "cap_promotions_day": frame.policy.cap_promotions_per_day,
                "cap_promotions_week": frame.policy.cap_promotions_per_week,
                "group_cap_day": frame.policy.group_cap_per_day,
                "group_cap_week": frame.policy.group_cap_promotions_per_week,
                "quota_from": quota_from,
                "quota_to": quota_to,
                "quota": quota,
                "covered_corps": covered_corps(frame.now, quota_from, frame.policy),
                "personal": frame.policy.quota_counts_personal,
                "opt_out_tag": frame.policy.opt_out_tag,
                "counts_planned": frame.counts_planned,
            }
        )


def covered_corps(now: datetime, since: datetime, policy: SendPolicy) -> list[int]:
    """Corps whose ledger reaches from the beginning of the quota period to (nearly) now; the others are 额度未知."""
    fresh = now - timedelta(hours=policy.ledger_hours)
    covered = LedgerCoverage.objects.filter(covered_from__lte=since, covered_to__gte=fresh)
    return list(covered.values_list("corp_id", flat=True))


def inline(sql: Sql, params: dict[str, Any], prefix: str) -> str:
    """A positional statement as one with named parameters, which are added to `params`."""
    text, values = sql
    names = [f"{prefix}{index}" for index in range(len(values))]
    params.update(zip(names, values, strict=True))
    pieces = text.split("%s")
    if len(pieces) != len(values) + 1:
        raise ValueError("the statement's placeholders and parameters do not match")
    return "".join(piece + (f"%({names[index]})s" if index < len(names) else "") for index, piece in enumerate(pieces))


_CAN_SPEAK = "m.has_customer_contact AND m.status NOT IN ('left', 'disabled', 'inactive')"

PEOPLE = f"""
people AS (
  SELECT root_id, root_id AS contact_id FROM audience
  UNION ALL
  SELECT a.root_id, c.id FROM audience a JOIN {T["contact"]} c ON c.root_id = a.root_id
)"""

# One voice: the owner where she is a friend and may speak, else whoever was added last.
VOICE = f"""
friends AS (
  SELECT p.root_id, f.id AS follow_id, f.member_id, f.corp_id, f.identity_id, f.added_at, m.store_id,
         ({_CAN_SPEAK} AND m.id IN ({{senders}})) AS can_speak, coalesce(r.owner_id = f.member_id, false) AS is_owner
  FROM people p
  JOIN {T["contact"]} r ON r.id = p.root_id
  JOIN {T["follow"]} f ON f.contact_id = p.contact_id AND f.relation = 'active'
  JOIN {T["member"]} m ON m.id = f.member_id
),
voice AS (
  SELECT DISTINCT ON (f.root_id) f.root_id, f.follow_id, f.member_id, f.corp_id, f.store_id, i.value AS external_userid
  FROM friends f JOIN {T["identity"]} i ON i.id = f.identity_id
  WHERE f.can_speak
  ORDER BY f.root_id, f.is_owner DESC, f.added_at DESC, f.follow_id
)"""

OPTED_OUT = f"""
opted_out AS (
  SELECT p.root_id FROM people p JOIN {T["contact"]} c ON c.id = p.contact_id
  WHERE c.opt_out_since <= %(at)s AND (c.opt_out_until IS NULL OR c.opt_out_until > %(at)s)
  UNION
  SELECT p.root_id FROM people p
  JOIN {T["follow_tag"]} ft ON ft.contact_id = p.contact_id AND ft.state IN ('on', 'adding')
  JOIN {T["tag"]} t ON t.id = ft.tag_id AND t.name = %(opt_out_tag)s AND t.deleted_at IS NULL AND t.corp_id IS NOT NULL
  JOIN {T["follow"]} f ON f.id = ft.follow_id AND f.relation = 'active'
)"""

# What already reached her, or is on its way: sent, open in WeCom, being created; at the freeze also planned elsewhere.
PRESSURE = f"""
reached AS (
  SELECT p.root_id, pu.message_class, coalesce(d.sent_at, pu.notify_at) AS at
  FROM people p
  JOIN {T["delivery"]} d ON d.contact_id = p.contact_id AND d.push_id <> %(push_id)s
  JOIN {T["push"]} pu ON pu.id = d.push_id
  LEFT JOIN {T["dispatch"]} u ON u.id = d.dispatch_id
  WHERE d.sent_at >= %(week_from)s
     OR d.state = 'tasked'
     OR (d.state = 'planned' AND (%(counts_planned)s OR u.state = 'creating'))
),
pressed AS (
  SELECT root_id FROM reached WHERE %(caps_on)s AND at < %(day_to)s GROUP BY root_id
  HAVING count(*) FILTER (WHERE at >= %(day_from)s) >= %(cap_day)s
      OR (%(is_promotion)s AND count(*) FILTER (WHERE at >= %(day_from)s AND message_class = 'promotion') >= %(cap_promotions_day)s)
      OR (%(is_promotion)s AND count(*) FILTER (WHERE at >= %(week_from)s AND message_class = 'promotion') >= %(cap_promotions_week)s)
)"""

# WeCom's quota is spent by our sends (deliveries) and by everybody else's (the ledger's rows that are not ours).
QUOTA = f"""
received AS (
  SELECT v.root_id FROM voice v JOIN people p ON p.root_id = v.root_id
  JOIN {T["delivery"]} d ON d.contact_id = p.contact_id AND d.external_userid = v.external_userid
  WHERE d.sent_at >= %(quota_from)s AND d.sent_at < %(quota_to)s
  UNION ALL
  SELECT v.root_id FROM voice v
  JOIN {T["mass_result"]} r ON r.corp_id = v.corp_id AND r.target = v.external_userid AND r.status = 1
  JOIN {T["mass_send"]} s ON s.id = r.mass_send_id AND s.dispatch_id IS NULL
  WHERE r.sent_at >= %(quota_from)s AND r.sent_at < %(quota_to)s AND (%(personal)s OR s.create_type = 0)
),
spent AS (SELECT root_id FROM received GROUP BY root_id HAVING count(*) >= %(quota)s)"""

REASON = """
CASE
  WHEN v.follow_id IS NULL AND NOT EXISTS (SELECT 1 FROM friends f WHERE f.root_id = a.root_id) THEN 'not_friend'
  WHEN v.follow_id IS NULL THEN 'no_guide'
  WHEN EXISTS (SELECT 1 FROM opted_out o WHERE o.root_id = a.root_id) THEN 'opt_out'
  WHEN EXISTS (SELECT 1 FROM pressed c WHERE c.root_id = a.root_id) THEN 'cap'
  WHEN NOT v.corp_id = ANY(%(covered_corps)s::bigint[]) THEN 'quota_unknown'
  WHEN EXISTS (SELECT 1 FROM spent q WHERE q.root_id = a.root_id) THEN 'quota'
  ELSE ''
END"""


def people_verdicts(audience: Sql, frame: Frame) -> tuple[str, dict[str, Any]]:
    """`WITH … verdict(root_id, follow_id, member_id, store_id, region_id, dealer_id, external_userid, voices, reason)`.

    A statement to continue with a SELECT or INSERT over `verdict`, and its parameters. Where nobody can speak, store and
    member are today's owner, so that the excluded can be counted by place too.
    """
    params = Params.of(frame).values
    senders = inline(ids_sql(visible_members(frame.within)), params, "sender")
    members = inline(audience, params, "person")
    head = f"WITH audience AS (SELECT DISTINCT coalesce(c.root_id, c.id) AS root_id FROM {T['contact']} c WHERE c.id IN ({members}))"
    parts = [head, PEOPLE, VOICE.replace("{senders}", senders), OPTED_OUT, PRESSURE, QUOTA, _verdict()]
    return ",".join(parts), params


def _verdict() -> str:
    return f"""
verdict AS (
  SELECT a.root_id, v.follow_id, coalesce(v.member_id, r.owner_id) AS member_id,
         coalesce(v.store_id, r.store_id) AS store_id, s.region_id, s.dealer_id, coalesce(v.external_userid, '') AS external_userid,
         (SELECT count(DISTINCT f.member_id) FROM friends f WHERE f.root_id = a.root_id AND f.can_speak) AS voices, {REASON} AS reason
  FROM audience a
  JOIN {T["contact"]} r ON r.id = a.root_id
  LEFT JOIN voice v ON v.root_id = a.root_id
  LEFT JOIN {T["store"]} s ON s.id = coalesce(v.store_id, r.store_id)
)"""


def delivery_verdicts(dispatch_ids: Sequence[int], frame: Frame) -> tuple[str, dict[str, Any]]:
    """`WITH … verdict(delivery_id, reason)` for the planned people of units about to become WeCom tasks.

    The voice is the one frozen: nobody is given to another guide here. Two people frozen who are one by now get one message.
    """
    params = Params.of(frame).values | {"dispatch_ids": list(dispatch_ids)}
    head = f"""WITH planned AS (
  SELECT d.id AS delivery_id, coalesce(c.root_id, c.id) AS root_id, d.follow_id, d.external_userid, u.sender_id
  FROM {T["delivery"]} d JOIN {T["dispatch"]} u ON u.id = d.dispatch_id JOIN {T["contact"]} c ON c.id = d.contact_id
  WHERE d.dispatch_id = ANY(%(dispatch_ids)s::bigint[]) AND d.state = 'planned' AND d.contact_id IS NOT NULL
),
audience AS (SELECT DISTINCT root_id FROM planned)"""
    voice = f"""
friends AS (
  SELECT p.delivery_id, p.root_id, f.id AS follow_id, f.member_id, f.corp_id, ({_CAN_SPEAK}) AS can_speak, p.external_userid
  FROM planned p JOIN {T["follow"]} f ON f.id = p.follow_id AND f.relation = 'active' AND f.member_id = p.sender_id
  JOIN {T["member"]} m ON m.id = f.member_id
),
voice AS (SELECT delivery_id, root_id, follow_id, member_id, corp_id, external_userid FROM friends WHERE can_speak),
twice AS (
  SELECT a.delivery_id FROM planned a JOIN people p ON p.root_id = a.root_id
  JOIN {T["delivery"]} d ON d.contact_id = p.contact_id AND d.push_id = %(push_id)s AND d.id <> a.delivery_id
  WHERE d.state IN ('tasked', 'sent') OR (d.state = 'planned' AND d.id < a.delivery_id)
)"""
    verdict = f"""
verdict AS (
  SELECT a.delivery_id,
    CASE WHEN EXISTS (SELECT 1 FROM twice t WHERE t.delivery_id = a.delivery_id) THEN 'duplicate' ELSE {REASON} END AS reason
  FROM planned a LEFT JOIN voice v ON v.delivery_id = a.delivery_id
)"""
    return ",".join([head, PEOPLE, voice, OPTED_OUT, PRESSURE, QUOTA, verdict]), params


_GROUP_COUNTS = f"""
reached AS (
  SELECT d.group_id, pu.message_class, coalesce(d.sent_at, pu.notify_at) AS at
  FROM {T["delivery"]} d JOIN {T["push"]} pu ON pu.id = d.push_id LEFT JOIN {T["dispatch"]} u ON u.id = d.dispatch_id
  WHERE d.group_id IN (SELECT id FROM chosen) AND d.push_id <> %(push_id)s
    AND (d.sent_at >= %(week_from)s OR d.state = 'tasked'
         OR (d.state = 'planned' AND (%(counts_planned)s OR u.state = 'creating')))
),
pressed AS (
  SELECT group_id FROM reached WHERE %(caps_on)s AND at < %(day_to)s GROUP BY group_id
  HAVING count(*) FILTER (WHERE at >= %(day_from)s) >= %(group_cap_day)s
      OR (%(is_promotion)s AND count(*) FILTER (WHERE message_class = 'promotion') >= %(group_cap_week)s)
)"""


def group_verdicts(audience: Sql, frame: Frame) -> tuple[str, dict[str, Any]]:
    """`WITH … verdict(group_id, member_id, store_id, region_id, dealer_id, reason)`: the sender is the current 群主."""
    params = Params.of(frame).values
    senders = inline(ids_sql(visible_members(frame.within)), params, "sender")
    chosen = f"WITH chosen AS (SELECT id FROM {T['group']} WHERE id IN ({inline(audience, params, 'group')}))"
    verdict = f"""
verdict AS (
  SELECT g.id AS group_id, g.owner_id AS member_id, coalesce(g.store_id, m.store_id) AS store_id, s.region_id, s.dealer_id,
    CASE
      WHEN g.dismissed_at IS NOT NULL THEN 'dismissed'
      WHEN m.id IS NULL OR NOT ({_CAN_SPEAK}) OR NOT m.id IN ({senders}) OR g.status = 1 THEN 'no_sender'
      WHEN EXISTS (SELECT 1 FROM pressed c WHERE c.group_id = g.id) THEN 'cap'
      ELSE ''
    END AS reason
  FROM chosen JOIN {T["group"]} g ON g.id = chosen.id
  LEFT JOIN {T["member"]} m ON m.id = g.owner_id
  LEFT JOIN {T["store"]} s ON s.id = coalesce(g.store_id, m.store_id)
)"""
    return ",".join([chosen, _GROUP_COUNTS, verdict]), params


def group_delivery_verdicts(dispatch_ids: Sequence[int], frame: Frame) -> tuple[str, dict[str, Any]]:
    """`WITH … verdict(delivery_id, reason)` for the planned groups of units about to become WeCom tasks."""
    params = Params.of(frame).values | {"dispatch_ids": list(dispatch_ids)}
    planned = f"""WITH planned AS (
  SELECT d.id AS delivery_id, d.group_id, u.sender_id
  FROM {T["delivery"]} d JOIN {T["dispatch"]} u ON u.id = d.dispatch_id
  WHERE d.dispatch_id = ANY(%(dispatch_ids)s::bigint[]) AND d.state = 'planned' AND d.group_id IS NOT NULL
),
chosen AS (SELECT group_id AS id FROM planned)"""
    verdict = f"""
verdict AS (
  SELECT p.delivery_id,
    CASE
      WHEN g.dismissed_at IS NOT NULL THEN 'dismissed'
      WHEN g.owner_id IS DISTINCT FROM p.sender_id THEN 'owner_changed'
      WHEN NOT ({_CAN_SPEAK}) THEN 'no_sender'
      WHEN EXISTS (SELECT 1 FROM pressed c WHERE c.group_id = g.id) THEN 'cap'
      ELSE ''
    END AS reason
  FROM planned p JOIN {T["group"]} g ON g.id = p.group_id JOIN {T["member"]} m ON m.id = p.sender_id
)"""
    return ",".join([planned, _GROUP_COUNTS, verdict]), params
