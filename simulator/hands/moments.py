"""Moments in people's hands: a guide publishes or does not, customers see, like and comment."""

from typing import TYPE_CHECKING

from simulator.clock import local, wall
from simulator.hands.errors import HandError
from simulator.hands.people import guide_of, number_of
from simulator.world.moments import Moment, Publication, audience

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


def moment_of(corp: "Corp", moment_id: str) -> Moment:
    """A moment that exists. Raises HandError."""
    moment = corp.moments.moments.get(moment_id)
    if moment is None or moment.deleted or moment.ready_wall > wall():
        raise HandError("没有这条朋友圈")
    return moment


def open_tasks(corp: "Corp", userid: str = "") -> list[tuple[Moment, str]]:
    """(moment, userid) of everything still to be published, oldest first."""
    servants = {member.userid for member in corp.directory.servants()}
    return [
        (moment, sender)
        for moment in corp.moments.moments.values()
        for sender, part in moment.senders.items()
        if not part.at
        and not moment.cancelled
        and moment.ready_wall <= wall()
        and userid in ("", sender)
        and sender in servants
    ]


def publish(sim: "Simulator", corp: "Corp", moment_id: str, userid: str) -> dict:
    """发表: shown to her customers in range, as far as the month's allowance of each goes. Raises HandError."""
    moment, guide = moment_of(corp, moment_id), guide_of(corp, userid)
    part = moment.senders.get(guide.userid)
    if part is None:
        raise HandError("没有这个朋友圈任务")
    if part.at:
        raise HandError("已发表")
    if moment.cancelled:
        raise HandError("该任务已被停止")
    part.at = sim.clock.now()
    reached = audience(corp.customers, guide.userid, moment.tags)
    part.shown_to = [number for number in reached if _is_shown(sim, corp, guide.userid, number, moment)]
    for number in part.shown_to:
        corp.moments.shown.setdefault(number, []).append((part.at, moment.moment_id))
    return {"moment_id": moment_id, "userid": guide.userid, "in_range": len(reached), "shown_to": len(part.shown_to)}


def _is_shown(sim: "Simulator", corp: "Corp", userid: str, number: int, moment: Moment) -> bool:
    """Not to who deleted her; of the corp's own not more a month than the switch says (0: no limit)."""
    follow, most = corp.customers.usable(userid, number), sim.switches.moments_per_customer_month
    if follow is None or follow.deleted_by_customer:
        return False
    if moment.create_type or not most:
        return True
    month = local(sim.clock.now()).strftime("%Y-%m")
    seen = {mid for at, mid in corp.moments.seen_by(number) if local(at).strftime("%Y-%m") == month}
    of_corp = {mid for mid in seen if not corp.moments.moments[mid].create_type}
    return moment.moment_id in of_corp or len(of_corp) < most


def post_own(sim: "Simulator", corp: "Corp", userid: str, text: str) -> dict:
    """A guide's own moment, shown to all her customers."""
    guide = guide_of(corp, userid)
    if not text:
        raise HandError("朋友圈不能为空")
    moment = corp.moments.new(sim.clock.now(), text, [], creator=guide.userid)
    moment.senders[guide.userid] = Publication()
    return publish(sim, corp, moment.moment_id, guide.userid)


def respond(sim: "Simulator", corp: "Corp", moment_id: str, userid: str, who: str, *, comment: bool) -> dict:
    """A customer it was shown to, or a colleague, likes or comments it. Liking twice takes the like back."""
    part = moment_of(corp, moment_id).senders.get(guide_of(corp, userid).userid)
    if part is None or not part.at:
        raise HandError("该成员未发表")
    if who[:2] in ("wm", "wo"):
        if number_of(corp, who) not in part.shown_to:
            raise HandError("该客户看不到这条朋友圈")
    else:
        who = guide_of(corp, who).userid
    if comment:
        part.comments.append((who, sim.clock.now()))
    elif any(liker == who for liker, _at in part.likes):
        part.likes = [row for row in part.likes if row[0] != who]
    else:
        part.likes.append((who, sim.clock.now()))
    return {"likes": len(part.likes), "comments": len(part.comments)}


def delete(corp: "Corp", moment_id: str) -> dict:
    """It is deleted, and no list shows it any more."""
    moment_of(corp, moment_id).deleted = True
    return {}


def seen_by(corp: "Corp", external_userid: str) -> list[dict]:
    """Everything a customer was shown, oldest first; deleted ones are gone for her too."""
    rows = []
    for at, moment_id in corp.moments.seen_by(number_of(corp, external_userid)):
        moment = corp.moments.moments[moment_id]
        if not moment.deleted:
            rows.append({"at": at, "moment_id": moment_id, "text": moment.text, "create_type": moment.create_type})
    return rows
