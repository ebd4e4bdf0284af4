"""People whose every relation had ended before the merchant connected: WeCom lists them no more, the merchant's books did."""

from datetime import datetime, timedelta
from random import Random

from contacts.models import Member
from demo import simulated
from demo.scenarios.model import POSTER, Scenario
from scrm.lib import clock
from wecom_bridge.contracts import EventFact, ExternalContactInfo, FollowInfo, PeopleBatch, PersonRow, handlers_for
from wecom_bridge.models import Corp

RECENT_ENDS = 96
PAGE = 500


def write_gone(scenario: Scenario, now: datetime, rng: Random) -> None:
    """Hand them to the product's own handlers, as a first sync of the time would have, with the event that ended each."""
    if not scenario.gone:
        return
    corp = Corp.objects.get()
    guides = list(Member.objects.filter(has_customer_contact=True).order_by("userid").values_list("userid", flat=True))
    rows, events = [], []
    for position, known in enumerate(_departed(corp.corp_id, sum(scenario.stages.values()), scenario.gone)):
        recent = position < RECENT_ENDS
        ended = now - timedelta(days=rng.uniform(0.5, 29) if recent else rng.uniform(31, 330))
        added = ended - timedelta(days=rng.uniform(2, 60))
        userid = rng.choice(guides)
        # The poster of today was tried out by one of the staff, who then left the guide's list again.
        rows.append(_row(known, userid, added, state=POSTER if position == 0 else ""))
        events.append(_ended(position, known["external_userid"], userid, ended, by_guide=rng.random() < 0.12))
    batch = PeopleBatch(corp=corp, source="backfill", read_at=clock.now(), rows=rows, events=events)
    for handler in handlers_for("people"):
        handler(batch)


def _departed(corp_id: str, first: int, count: int) -> list[dict]:
    """The simulated customers that had a relation once and have none now."""
    found: list[dict] = []
    while len(found) < count:
        offset, limit = first + len(found), min(PAGE, count - len(found))
        answer = simulated.call("GET", f"/control/customers?corp_id={corp_id}&offset={offset}&limit={limit}")
        page = answer["customers"]
        if not page:
            raise ValueError(f"the simulator knows {len(found)} departed customers of {count}")
        found += page
    return found


def _row(known: dict, userid: str, added: datetime, *, state: str) -> PersonRow:
    person = ExternalContactInfo(
        external_userid=known["external_userid"],
        name=known["name"],
        kind=int(known.get("type", 1)),
        unionid=known.get("unionid") or "",
        gender=int(known.get("gender") or 0),
    )
    return PersonRow(
        person, (FollowInfo(userid=userid, created_at=added.replace(microsecond=0), add_way=1, state=state),), False
    )


def _ended(number: int, external_userid: str, userid: str, at: datetime, *, by_guide: bool) -> EventFact:
    """The deletion as its callback told it then."""
    at = at.replace(microsecond=0)
    change = "del_external_contact" if by_guide else "del_follow_user"
    fields = {"UserID": userid, "ExternalUserID": external_userid, "ChangeType": change}
    return EventFact(-number - 1, "change_external_contact", change, at, at, fields)
