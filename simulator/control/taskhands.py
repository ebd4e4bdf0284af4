"""The hands of moments, hand-overs and group welcomes over HTTP; importing this registers them."""

from simulator.control.hands import act, routes
from simulator.corp import Corp
from simulator.hands import groups, moments, transfers
from simulator.simulator import Simulator

__all__ = ["routes"]


@act("moment_tasks")
def moment_tasks(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """Moments waiting to be published, of one guide or all."""
    rows = [
        {"moment_id": moment.moment_id, "userid": userid, "text": moment.text, "create_time": moment.create_time}
        for moment, userid in moments.open_tasks(corp, body.get("userid") or "")
    ]
    return {"tasks": rows}


@act("publish_moment")
def publish_moment(sim: Simulator, corp: Corp, body: dict) -> dict:
    """发表 of one task."""
    return moments.publish(sim, corp, body["moment_id"], body["userid"])


@act("publish_all_moments")
def publish_all_moments(sim: Simulator, corp: Corp, body: dict) -> dict:
    """发表 of every open task, of one guide (`userid`), one moment (`moment_id`), or all."""
    open_ones = moments.open_tasks(corp, body.get("userid") or "")
    wanted = [(m.moment_id, u) for m, u in open_ones if body.get("moment_id") in (None, "", m.moment_id)]
    return {"published": [moments.publish(sim, corp, moment_id, userid) for moment_id, userid in wanted]}


@act("post_own_moment")
def post_own_moment(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A guide's own moment: text."""
    return moments.post_own(sim, corp, body["userid"], body.get("text") or "")


@act("like_moment")
def like_moment(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A customer or colleague (`who`) likes what `userid` published, or takes the like back."""
    return moments.respond(sim, corp, body["moment_id"], body["userid"], body["who"], comment=False)


@act("comment_moment")
def comment_moment(sim: Simulator, corp: Corp, body: dict) -> dict:
    """A customer or colleague (`who`) comments what `userid` published."""
    return moments.respond(sim, corp, body["moment_id"], body["userid"], body["who"], comment=True)


@act("delete_moment")
def delete_moment(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """A moment is deleted."""
    return moments.delete(corp, body["moment_id"])


@act("moments_seen")
def moments_seen(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """Every moment a customer was shown."""
    return {"moments": moments.seen_by(corp, body["external_userid"])}


@act("refuse_transfer")
def refuse_transfer(sim: Simulator, corp: Corp, body: dict) -> dict:
    """The customer refuses to be handed over."""
    return transfers.refuse(sim, corp, body["external_userid"])


@act("member_account")
def member_account(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """What WeCom knows of a member's account: last_login, verified, banned, wechat."""
    return transfers.set_account(corp, body["userid"], body)


@act("group_welcome")
def group_welcome(_sim: Simulator, corp: Corp, body: dict) -> dict:
    """The owner chooses the group's welcome: chat_id, template_id."""
    return groups.choose_welcome(corp, body["chat_id"], body.get("template_id") or "")


@act("group_speak")
def group_speak(sim: Simulator, corp: Corp, body: dict) -> dict:
    """Somebody writes in the group: chat_id, who, messages."""
    return groups.speak(sim, corp, body["chat_id"], body["who"], int(body.get("messages", 1)))
