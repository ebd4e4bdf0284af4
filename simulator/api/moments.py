"""Moments (客户朋友圈): an asynchronous job makes the task, each guide publishes it in her client or does not."""

from simulator.api import common, paging
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.momentcontent import check_content, kept_attachments
from simulator.api.registry import Call, endpoint
from simulator.clock import wall
from simulator.world.moments import DONE, JOB_LIFE, Moment, Publication, audience

SENDERS_MOST = 100_000
LIST_SPAN = 30 * 86_400


@endpoint(
    "externalcontact/add_moment_task",
    Field("text", dict),
    Field("attachments", list, items=dict),
    Field("visible_range", dict),
    per_minute="moments_per_minute",
)
def add_moment(call: Call) -> dict:
    """Start a job. What is wrong with the content stands in the job's result, not in this answer (a switch tells otherwise)."""
    book, now = call.corp.moments, wall()
    wanted = _read_range(call)
    if book.open_jobs(now) >= call.sim.switches.moment_jobs_most:
        raise WeComError(41078)
    try:
        check_content(call)
        made = _make(call, *wanted)
    except WeComError as error:
        if call.sim.switches.moment_errors_at_once:
            raise
        made = {"errcode": error.code, "errmsg": error.text}
    job = book.new_job(now, call.sim.switches.moment_job_seconds, made)
    if "moment_id" in made:
        book.moments[made["moment_id"]].ready_wall = job.ready_wall
    return {"jobid": job.jobid}


def _read_range(call: Call) -> tuple[list[str], list[int], list[str]]:
    """(users, departments, tags) of visible_range. Raises WeComError 40058 for a wrong form."""
    given = call["visible_range"] or {}
    senders, customers = given.get("sender_list") or {}, given.get("external_contact_list") or {}
    if not isinstance(senders, dict) or not isinstance(customers, dict):
        raise WeComError(40058, "invalid Request Parameter, visible_range")
    users, departments = senders.get("user_list") or [], senders.get("department_list") or []
    tags = customers.get("tag_list") or []
    for name, rows, kind in (("user_list", users, str), ("department_list", departments, int), ("tag_list", tags, str)):
        if not isinstance(rows, list) or len(rows) > SENDERS_MOST or any(not isinstance(row, kind) for row in rows):
            raise WeComError(40058, f"invalid Request Parameter, {name}")
    return users, departments, tags


def _make(call: Call, users: list[str], departments: list[int], tags: list[str]) -> dict:
    """Create the moment and its senders. Raises WeComError 81013 without a usable sender, 40068 without a usable tag."""
    directory = call.corp.directory
    serving = {m.userid: m for m in call.view.servants()}
    by_lower = {userid.lower(): userid for userid in serving}
    bad_users = [userid for userid in users if userid.lower() not in by_lower]
    bad_departments = [d for d in departments if d not in directory.departments]
    bad_tags = [tag for tag in tags if not call.corp.tags.alive(tag)]
    chosen = {by_lower[userid.lower()] for userid in users if userid.lower() in by_lower}
    below = {row.id for d in departments if d not in bad_departments for row in directory.below(d)}
    chosen |= {m.userid for m in directory.in_departments(below) if m.userid in serving}
    good_tags = [tag for tag in dict.fromkeys(tags) if tag not in bad_tags]
    if (users or departments) and not chosen:
        raise WeComError(81013)
    if tags and not good_tags:
        raise WeComError(40068)
    senders = [userid for userid in serving if not (users or departments) or userid in chosen]
    if good_tags and not (users or departments):
        senders = [userid for userid in senders if audience(call.corp.customers, userid, good_tags)]
    moment = call.corp.moments.new(call.now, _words(call), kept_attachments(call))
    moment.tags, moment.senders = good_tags, {userid: Publication() for userid in senders}
    return {
        "errcode": 0,
        "errmsg": "ok",
        "moment_id": moment.moment_id,
        "invalid_sender_list": {"user_list": bad_users, "department_list": bad_departments},
        "invalid_external_contact_list": {"tag_list": bad_tags},
    }


def _words(call: Call) -> str:
    return (call["text"] or {}).get("content") or ""


@endpoint("externalcontact/get_moment_task_result", Field("jobid", missing=40058), method="GET")
def get_job(call: Call) -> dict:
    """Status 1 pending, 2 running, 3 done; the result, errors included, only when done. A job is forgotten after 24 hours."""
    job = call.corp.moments.jobs.get(call["jobid"])
    if job is None or wall() - job.made_wall > JOB_LIFE:
        raise WeComError(40058, "invalid jobid")
    status = job.status(wall())
    return {"status": status, "type": "add_moment_task"} | ({"result": job.result} if status == DONE else {})


def _moment(call: Call, *, of_corp: bool = False) -> Moment:
    """The moment named. Raises WeComError 41060, 41067 (not of the kind the API is for) or 41079 (still being dispatched)."""
    moment = call.corp.moments.moments.get(call["moment_id"])
    if moment is None or moment.deleted or moment.ready_wall > wall():
        raise WeComError(41060)
    if of_corp and moment.create_type:
        raise WeComError(41067)
    if moment.ready_wall and wall() - moment.ready_wall < call.sim.switches.moment_dispatch_seconds:
        raise WeComError(41079)
    return moment


@endpoint("externalcontact/cancel_moment_task", Field("moment_id", missing=41059))
def cancel_moment(call: Call) -> dict:
    """Stop it for whoever has not published it; what is published stays."""
    _moment(call, of_corp=True).cancelled = True
    return {}


@endpoint(
    "externalcontact/get_moment_list",
    Field("start_time", int, missing=40058),
    Field("end_time", int, missing=40058),
    Field("creator"),
    Field("filter_type", int, default=2, least=0, most=2),
    Field("cursor"),
    Field("limit", int, default=20, least=1, most=20, clamp=True),
)
def list_moments(call: Call) -> dict:
    """Moments created within at most 30 days: by the corp (0), by members (1), or both (2). Deleted ones are left out."""
    if not 0 <= call["end_time"] - call["start_time"] <= LIST_SPAN:
        raise WeComError(40058)
    if call["creator"]:
        common.member(call, call["creator"])
    rows = [moment for moment in call.corp.moments.moments.values() if _listed(call, moment)]
    scope = [call[name] for name in ("start_time", "end_time", "creator", "filter_type")]
    page, cursor = paging.page(rows, call["cursor"], call["limit"], ["moments", *scope])
    return {"moment_list": [_shown(moment) for moment in page]} | ({"next_cursor": cursor} if cursor else {})


def _listed(call: Call, moment: Moment) -> bool:
    if moment.deleted or moment.ready_wall > wall():
        return False
    if not call["start_time"] <= moment.create_time <= call["end_time"]:
        return False
    if call["creator"] and moment.creator.lower() != call["creator"].lower():
        return False
    return call["filter_type"] in (2, moment.create_type)


def _shown(moment: Moment) -> dict:
    shown: dict = {"moment_id": moment.moment_id, "create_time": moment.create_time}
    shown |= {"create_type": moment.create_type, "visible_type": moment.visible_type}
    if moment.creator:
        shown["creator"] = moment.creator
    if moment.text:
        shown["text"] = {"content": moment.text}
    images = [item["image"] for item in moment.attachments if item["msgtype"] == "image"]
    if images:
        shown["image"] = images
    for item in moment.attachments:
        if item["msgtype"] in ("video", "link"):
            shown[item["msgtype"]] = item[item["msgtype"]]
    return shown


@endpoint(
    "externalcontact/get_moment_task",
    Field("moment_id", missing=41059),
    Field("cursor"),
    Field("limit", int, default=500, least=1, most=1000, clamp=True),
)
def list_senders(call: Call) -> dict:
    """Each sender: publish_status 0 not published, 1 published. Of moments the corp made only (41067)."""
    moment = _moment(call, of_corp=True)
    rows, cursor = paging.page(
        list(moment.senders.items()), call["cursor"], call["limit"], ["moment", moment.moment_id]
    )
    listed = [{"userid": userid, "publish_status": int(bool(row.at))} for userid, row in rows]
    return {"task_list": listed} | ({"next_cursor": cursor} if cursor else {})


def _part(call: Call, moment: Moment, *, published: bool) -> tuple[str, Publication]:
    """(userid, her part). Raises WeComError 40003, 41061 or 41062."""
    found = common.known_member(call, call["userid"])
    if found.userid not in moment.senders:
        raise WeComError(41061)
    part = moment.senders[found.userid]
    if published and not part.at:
        raise WeComError(41062)
    return found.userid, part


@endpoint(
    "externalcontact/get_moment_customer_list",
    Field("moment_id", missing=41059),
    Field("userid", missing=41009),
    Field("cursor"),
    Field("limit", int, default=500, least=1, most=1000, clamp=True),
)
def list_customers_in_range(call: Call) -> dict:
    """The customers of a sender who may see it, published or not."""
    moment = _moment(call)
    userid, _ = _part(call, moment, published=False)
    numbers = audience(call.corp.customers, userid, moment.tags)
    rows, cursor = paging.page(numbers, call["cursor"], call["limit"], ["moment customers", moment.moment_id, userid])
    book = call.corp.customers
    listed = [{"userid": userid, "external_userid": book.external_userid(number)} for number in rows]
    return {"customer_list": listed} | ({"next_cursor": cursor} if cursor else {})


@endpoint(
    "externalcontact/get_moment_send_result",
    Field("moment_id", missing=41059),
    Field("userid", missing=41009),
    Field("cursor"),
    Field("limit", int, default=3000, least=1, most=5000, clamp=True),
)
def list_shown_to(call: Call) -> dict:
    """The customers it was shown to; 41062 before the sender published it."""
    moment = _moment(call)
    userid, part = _part(call, moment, published=True)
    rows, cursor = paging.page(
        part.shown_to, call["cursor"], call["limit"], ["moment result", moment.moment_id, userid]
    )
    listed = [{"external_userid": call.corp.customers.external_userid(number)} for number in rows]
    return {"customer_list": listed} | ({"next_cursor": cursor} if cursor else {})


@endpoint("externalcontact/get_moment_comments", Field("moment_id", missing=41059), Field("userid", missing=41009))
def list_comments(call: Call) -> dict:
    """Likes and comments below a sender's publication; 41062 before it."""
    moment = _moment(call)
    _, part = _part(call, moment, published=True)
    return {"comment_list": [_by(row) for row in part.comments], "like_list": [_by(row) for row in part.likes]}


def _by(row: tuple[str, int]) -> dict:
    who, at = row
    return {"external_userid" if who[:2] in ("wm", "wo") else "userid": who, "create_time": at}
