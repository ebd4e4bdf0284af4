"""Customers and relations (客户联系 · 客户管理)."""

from simulator.api import common, paging
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.callbacks import events
from simulator.clock import wall
from simulator.world.customers import follow_fields
from simulator.world.directory import LEFT
from simulator.world.profiles import Follow

FOLLOWERS_PER_PAGE = 500
PAGE_DEFAULT, PAGE_MOST = 50, 100


@endpoint("externalcontact/get_follow_user_list", method="GET")
def list_followers(call: Call) -> dict:
    """Members with the customer-contact permission."""
    return {"follow_user": [m.userid for m in call.view.servants()]}


@endpoint("externalcontact/list", Field("userid", missing=41009), method="GET")
def list_customers(call: Call) -> dict:
    """All customers of a member, unpaged; none at all is 84061 by default."""
    owner = common.member(call, call["userid"])
    numbers, _ = call.corp.customers.numbers(owner.userid)
    if not numbers and call.sim.switches.empty_customer_list_is_84061:
        raise WeComError(84061)
    return {"external_userid": [call.corp.customers.external_userid(n) for n in numbers]}


@endpoint("externalcontact/get", Field("external_userid", missing=41035), Field("cursor"), method="GET")
def get_customer(call: Call) -> dict:
    """One customer with the followers in range; `next_cursor` only beyond 500 of them."""
    number = common.customer(call, call["external_userid"])
    book = call.corp.customers
    everyone = [userid for userid in book.followers(number) if _present(call, userid)]
    followers = [userid for userid in everyone if call.view.find(userid)]
    if not followers:
        raise WeComError(40096 if everyone else 84061)
    rows, cursor = paging.page(followers, call["cursor"], FOLLOWERS_PER_PAGE, ["get", call["external_userid"]])
    shown = []
    for userid in rows:
        follow = book.follow(userid, number)
        if follow:
            shown.append(follow_fields(userid, follow) | {"tags": _tags(call, follow)})
    answer: dict = {"external_contact": book.customer(number).public(), "follow_user": shown}
    if len(followers) > FOLLOWERS_PER_PAGE:
        answer["next_cursor"] = cursor
    return answer


def _present(call: Call, userid: str) -> bool:
    found = call.corp.directory.find(userid)
    return found is not None and found.status != LEFT


def _tags(call: Call, follow: Follow) -> list[dict]:
    tags = call.corp.tags
    shown: list[dict] = []
    for tag_id in call.corp.customers.living_tags(follow):
        row = tags.tags[tag_id]
        group = tags.groups[row.group_id]
        shown.append({"group_name": group.name, "tag_name": row.name, "tag_id": row.id, "type": 1})
    return shown + [{"group_name": "", "tag_name": name, "type": 2} for name in follow.personal_tags]


@endpoint(
    "externalcontact/batch/get_by_user",
    Field("userid_list", list, default=(), items=str, most=100),
    Field("userid"),
    Field("cursor"),
    Field("limit", int, default=PAGE_DEFAULT, least=1, most=PAGE_MOST, clamp=True),
)
def batch_customers(call: Call) -> bytes:
    """Customers of up to 100 members, 50 or up to 100 a page; the answer is joined from remembered fragments.

    The form of before 2021, one `userid` instead of the list, is understood by switch.
    """
    asked = list(call["userid_list"])
    if not asked and call["userid"] and call.sim.switches.batch_takes_single_userid:
        asked = [call["userid"]]
    if not asked:
        raise WeComError(40058)
    userids = common.members(call, asked)
    member, position = paging.read(call["cursor"], userids, parts=2)
    book, limit = call.corp.customers, call["limit"]
    items: list[bytes] = []
    while member < len(userids) and len(items) < limit:
        numbers, position = book.numbers(userids[member], position, limit - len(items))
        items += [book.fragment(userids[member], number) for number in numbers]
        if position >= book.size(userids[member]):
            member, position = member + 1, 0
    cursor = paging.make([member, position], userids) if member < len(userids) else ""
    head = b'{"errcode":0,"errmsg":"ok","external_contact_list":['
    return head + b",".join(items) + b'],"next_cursor":"' + cursor.encode() + b'"}'


@endpoint(
    "externalcontact/remark",
    Field("userid", missing=41009),
    Field("external_userid", missing=41035),
    Field("remark", most=20),
    Field("description", most=150),
    Field("remark_company", most=20),
    Field("remark_mobiles", list, items=str),
    Field("remark_pic_mediaid"),
)
def remark_customer(call: Call) -> dict:
    """Change the member's notes; omitted fields stay, `remark_mobiles` overwrites (`[""]` clears)."""
    changes = ("remark", "description", "remark_company", "remark_mobiles", "remark_pic_mediaid")
    if all(call[name] is None for name in changes):
        raise WeComError(40058)
    userid, number, _ = common.relation(call, call["userid"], call["external_userid"])
    _check_picture(call, call["remark_pic_mediaid"])
    follow = call.corp.customers.edit(userid, number)
    apply_remark(follow, call.args)
    if call.sim.switches.callbacks_on_api_writes:
        call.sim.emit(call.corp, events.edit_contact(userid, call["external_userid"]))
    return {}


def _check_picture(call: Call, media_id: str | None) -> None:
    """A picture of media/upload, while it lives. Raises WeComError 40007."""
    row = call.corp.media.find(media_id, wall()) if media_id else None
    if media_id and (row is None or (row.kind, row.use) != ("image", "message")):
        raise WeComError(40007)


def apply_remark(follow: Follow, given: dict) -> None:
    """Write the given notes into a relation; None leaves a field alone."""
    for name in ("remark", "description", "remark_company", "remark_pic_mediaid"):
        attribute = "company" if name == "remark_company" else name
        if given.get(name) is not None:
            setattr(follow, attribute, given[name])
    if given.get("remark_mobiles") is not None:
        follow.mobiles = [mobile for mobile in given["remark_mobiles"] if mobile]
