"""Statistics, counted from this world: what members did with customers, and what happened in groups, day by day."""

from dataclasses import dataclass, field

from simulator.api import common
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.world.groups import Group
from simulator.world.masses import SENT
from simulator.world.statistics import DAY, base_gains, midnight

SPAN, HISTORY = 30 * DAY, 180 * DAY
ORDERS = {1: "new_chat_cnt", 2: "chat_total", 3: "new_member_cnt", 4: "member_total"}


def _days(call: Call, begin: int, end: int) -> list[int]:
    """The midnights from `begin` to `end`, both floored, without days not over. Raises WeComError 40058 for a bad window."""
    first, last, today = midnight(begin), midnight(end), midnight(call.now)
    if last < first or last - first > SPAN or first < today - HISTORY:
        raise WeComError(40058, "invalid Request Parameter, time range")
    newest = today if call.sim.switches.statistics_of_today else today - DAY
    return list(range(first, min(last, newest) + 1, DAY))


# -- members -----------------------------------------------------------------------------------------------------------


@endpoint(
    "externalcontact/get_user_behavior_data",
    Field("userid", list, default=(), items=str, most=100),
    Field("partyid", list, default=(), items=int, most=100),
    Field("start_time", int, missing=40058),
    Field("end_time", int, missing=40058),
)
def behaviour(call: Call) -> dict:
    """One row per day; several members are one series."""
    if not call["userid"] and not call["partyid"]:
        raise WeComError(40058)
    userids = dict.fromkeys(common.members(call, list(call["userid"])))
    for department in call["partyid"]:
        if department not in call.corp.directory.departments:
            raise WeComError(60003)
        below = {row.id for row in call.corp.directory.below(department)}
        userids |= dict.fromkeys(m.userid for m in call.corp.directory.in_departments(below))
    days = _days(call, call["start_time"], call["end_time"])
    return {"behavior_data": _behaviour_rows(call, list(userids), days)}


def _behaviour_rows(call: Call, userids: list[str], days: list[int]) -> list[dict]:
    if not days:
        return []
    past = [base_gains(call.corp.base, userid, days[0], days[-1]) for userid in userids]
    sent = _mass_messages(call, set(userids)) if call.sim.switches.mass_sends_are_messages else {}
    return [_behaviour_row(call, userids, day, sum(c[day] for c in past), sent.get(day, 0)) for day in days]


def _behaviour_row(call: Call, userids: list[str], day: int, past: int, sent: int) -> dict:
    """`reply_percentage` and `avg_reply_time` are left out without a chat."""
    book = call.corp.days
    talks = [talk for userid in userids for talk in book.of_member(userid, day)]
    row: dict = {
        "stat_time": day,
        "chat_cnt": len(talks),
        "message_cnt": sum(talk.sent for talk in talks) + sent,
        "negative_feedback_cnt": sum(book.losses[userid, day] for userid in userids),
        "new_apply_cnt": sum(book.applications[userid, day] for userid in userids),
        "new_contact_cnt": past + sum(book.gains[userid, day] for userid in userids),
    }
    if talks:
        asked = [talk for talk in talks if talk.asked]
        minutes = [talk.reply_minutes for talk in asked if talk.reply_minutes is not None]
        row["reply_percentage"] = round(100 * len(minutes) / len(asked), 2) if asked else 100.0
        row["avg_reply_time"] = round(sum(minutes) / len(minutes)) if minutes else 0
    return row


def _mass_messages(call: Call, userids: set[str]) -> dict[int, int]:
    """Mass messages that went out to single customers, per day."""
    found: dict[int, int] = {}
    for mass in call.corp.masses.masses.values():
        for userid, task in mass.tasks.items() if mass.chat_type == "single" else ():
            if userid in userids:
                for status, at in task.results.values():
                    if status == SENT:
                        found[midnight(at)] = found.get(midnight(at), 0) + 1
    return found


# -- groups ------------------------------------------------------------------------------------------------------------


@dataclass
class GroupPast:
    """What is known of one group: when it began and ended, who came and went, who spoke."""

    begun: int
    ended: int | None
    stays: list[tuple[int, int | None]] = field(default_factory=list)
    words: list[tuple[str, int, int]] = field(default_factory=list)

    def counts(self, first: int, until: int) -> dict[str, int]:
        """WeCom's numbers of the days from `first` up to the instant `until`, which is not included."""
        alive = self.begun < until and (self.ended is None or self.ended >= until)
        spoken = [row for row in self.words if first <= row[1] < until]
        here = [1 for came, went in self.stays if came < until and (went is None or went >= until)]
        return {
            "new_chat_cnt": int(first <= self.begun < until),
            "chat_total": int(alive),
            "chat_has_msg": int(bool(spoken)),
            "new_member_cnt": sum(1 for came, _went in self.stays if first <= came < until),
            "member_total": len(here) if alive else 0,
            "member_has_msg": len({who for who, _at, _count in spoken}),
            "msg_total": sum(count for _who, _at, count in spoken),
        }


def _past(call: Call, group: Group) -> GroupPast:
    book = call.corp.days
    gone = [row for row in book.departures if row.chat_id == group.chat_id]
    past = GroupPast(group.create_time, next((row.left_at for row in gone if not row.who), None))
    past.stays = [(member.join_time, None) for member in group.members.values()]
    past.stays += [(row.joined_at, row.left_at) for row in gone if row.who]
    past.words = [(who, at, count) for chat_id, who, at, count in book.words if chat_id == group.chat_id]
    past.words += [
        (row["userid"], row["at"], 1) for row in call.corp.masses.inbox.get(group.chat_id, []) if "userid" in row
    ]
    return past


def _groups_of(call: Call) -> dict[str, list[GroupPast]]:
    """The groups of each owner asked for, dissolved ones included. Raises WeComError 40058 or 40031."""
    wanted = (call["owner_filter"] or {}).get("userid_list")
    if not isinstance(wanted, list) or not 0 < len(wanted) <= 100 or any(not isinstance(one, str) for one in wanted):
        raise WeComError(40058, "invalid Request Parameter, owner_filter")
    found: dict[str, list[GroupPast]] = {userid: [] for userid in common.members(call, wanted)}
    book = call.corp.groups
    for number in range(book.count):
        if book.owner(number) in found:
            found[book.owner(number)].append(_past(call, book.get(number)))
    return found


def _sum(groups: list[GroupPast], first: int, until: int) -> dict[str, int]:
    total = dict.fromkeys(GroupPast(0, None).counts(0, 0), 0)
    for group in groups:
        for name, count in group.counts(first, until).items():
            total[name] += count
    return total


_WINDOW = (
    Field("day_begin_time", int, missing=40058),
    Field("day_end_time", int),
    Field("owner_filter", dict, missing=40058),
)


@endpoint(
    "externalcontact/groupchat/statistic",
    *_WINDOW,
    Field("order_by", int, default=1, least=1, most=4),
    Field("order_asc", int, default=0, least=0, most=1),
    Field("offset", int, default=0, least=0),
    Field("limit", int, default=500, least=1, most=1000),
)
def by_owner(call: Call) -> dict:
    """Totals of the window, one row per owner."""
    days = _days(call, call["day_begin_time"], call["day_end_time"] or call["day_begin_time"])
    groups = _groups_of(call)
    if not days:
        return {"total": 0, "next_offset": 0, "items": []}
    rows = [{"owner": owner, "data": _sum(own, days[0], days[-1] + DAY)} for owner, own in groups.items()]
    name, begin = ORDERS[call["order_by"]], call["offset"]
    rows.sort(key=lambda row: row["data"][name], reverse=not call["order_asc"])
    page = rows[begin : begin + call["limit"]]
    return {"total": len(rows), "next_offset": begin + len(page), "items": page}


@endpoint("externalcontact/groupchat/statistic_group_by_day", *_WINDOW)
def by_day(call: Call) -> dict:
    """The sum over the owners, one row per day."""
    days = _days(call, call["day_begin_time"], call["day_end_time"] or call["day_begin_time"])
    groups = [group for own in _groups_of(call).values() for group in own]
    return {"items": [{"stat_time": day, "data": _sum(groups, day, day + DAY)} for day in days]}
