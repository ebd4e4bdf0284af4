"""Customers and relations: the base world, overlaid by what changed."""

import json

from simulator.world.base import BaseWorld
from simulator.world.directory import Directory
from simulator.world.ids import IdMint
from simulator.world.profiles import CORP_NAMES, Customer, Follow, Profiles, TagShares
from simulator.world.tags import TagBook

CACHE_BYTES = 96 * 1024 * 1024


class CustomerBook:
    """Every customer by number, every relation by (userid, number). Only what differs from the base is stored."""

    def __init__(self, base: BaseWorld, directory: Directory, tags: TagBook) -> None:
        self.base, self._directory, self._tags = base, directory, tags
        self._profiles = Profiles(base, TagShares(base, tags.base_ids))
        self._mint = IdMint(base.key, "external_userid")
        self._newcomers: dict[int, Customer] = {}
        self._latest: tuple[int, Customer] | None = None
        self._changed: dict[tuple[str, int], Follow | None] = {}
        self._touched: dict[str, set[int]] = {}
        self._added: dict[str, list[int]] = {}
        self._new_followers: dict[int, list[str]] = {}
        self._fragments: dict[tuple[str, int], bytes] = {}
        self._fragment_bytes = 0
        self.ever = max(base.scenario.ever, base.active)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_fragments": {}, "_fragment_bytes": 0}  # rendered again after a restart

    # -- people ----------------------------------------------------------------------------------------------------

    def number(self, external_userid: str) -> int | None:
        """The customer's number, or None for an id this corp never saw."""
        if external_userid[:2] not in ("wm", "wo"):
            return None
        number = self._mint.number(external_userid[2:])
        if number is None or number >= self.ever:
            return None
        return number if self.external_userid(number) == external_userid else None

    def external_userid(self, number: int) -> str:
        """`wm…` of a WeChat user, `wo…` of a WeCom user."""
        if number in self._newcomers:
            return self._newcomers[number].external_userid
        return ("wo" if self._profiles.kind(number) == 2 else "wm") + self._mint.body(number)

    def number_of_unionid(self, unionid: str) -> int | None:
        """Whose unionid it is, or None. Read from the id itself: nobody else is looked at."""
        number = self._profiles.unionids.number(unionid[1:])
        if number is None or number >= self.ever:
            return None
        return number if self.customer(number).unionid == unionid else None

    def customer(self, number: int) -> Customer:
        """The person behind a number."""
        if number in self._newcomers:
            return self._newcomers[number]
        if self._latest and self._latest[0] == number:
            return self._latest[1]  # one answer asks for the same person several times
        person = self._profiles.customer(number, self.external_userid(number))
        self._latest = number, person
        return person

    def new_customer(self, name: str = "", kind: int = 1) -> int:
        """Someone nobody knew before; returns the number."""
        number, self.ever = self.ever, self.ever + 1
        person = self._profiles.customer(number, "", name)
        person.type = kind
        if kind == 2:
            person.unionid, person.corp_name = "", person.corp_name or CORP_NAMES[number % len(CORP_NAMES)]
        person.external_userid = ("wo" if kind == 2 else "wm") + self._mint.body(number)
        self._newcomers[number] = person
        return number

    # -- relations -------------------------------------------------------------------------------------------------

    def follow(self, userid: str, number: int) -> Follow | None:
        """The relation, half-adds and one-way ones included; None when there is none."""
        key = (userid, number)
        if key in self._changed:
            return self._changed[key]
        guide = self.base.guide_number.get(userid)
        if guide is None or not self.base.follows(guide, number):
            return None
        return self._profiles.follow(guide, number, self.customer(number))

    def usable(self, userid: str, number: int) -> Follow | None:
        """The relation as the API accepts it: a customer who deleted the member still counts, a half-add does not."""
        found = self.follow(userid, number)
        return None if found is None or found.half else found

    def exists(self, userid: str, number: int, *, mutual: bool = False) -> bool:
        """Whether `usable` finds a relation, without drawing it; `mutual` asks that the customer has not left either."""
        key = (userid, number)
        if key in self._changed:
            found = self._changed[key]
            return found is not None and not found.half and not (mutual and found.deleted_by_customer)
        guide = self.base.guide_number.get(userid)
        return guide is not None and self.base.follows(guide, number)

    def edit(self, userid: str, number: int) -> Follow:
        """The existing relation, kept from now on, to be changed by the caller. Raises KeyError without one."""
        found = self.follow(userid, number)
        if found is None:
            raise KeyError((userid, number))
        self._keep(userid, number, found)
        return found

    def start(self, userid: str, number: int, follow: Follow) -> None:
        """Begin (or begin again) a relation."""
        guide = self.base.guide_number.get(userid)
        known = guide is not None and self.base.follows(guide, number)
        if not known and (userid, number) not in self._changed:
            self._added.setdefault(userid, []).append(number)
            self._new_followers.setdefault(number, []).append(userid)
        self._keep(userid, number, follow)

    def end(self, userid: str, number: int) -> None:
        """The relation is gone for the API."""
        self._keep(userid, number, None)

    def _keep(self, userid: str, number: int, follow: Follow | None) -> None:
        self._changed[userid, number] = follow
        self._touched.setdefault(userid, set()).add(number)
        self._fragment_bytes -= len(self._fragments.pop((userid, number), b""))

    def followers(self, number: int) -> list[str]:
        """Userids with a usable relation to the customer."""
        found = []
        if number < self.base.active:
            guides = (self.base.first_guide(number), self.base.second_guide(number))
            found = [self.base.guides[g].userid for g in guides if g is not None]
        found += self._new_followers.get(number, [])
        return [userid for userid in found if self.exists(userid, number)]

    def size(self, userid: str) -> int:
        """The number of positions `numbers` walks over, gone ones included."""
        guide = self.base.guide_number.get(userid)
        return (0 if guide is None else self.base.count_of(guide)) + len(self._added.get(userid, ()))

    def numbers(self, userid: str, begin: int = 0, limit: int | None = None) -> tuple[list[int], int]:
        """Up to `limit` customers of the member from position `begin`, and the position after the last one read."""
        guide = self.base.guide_number.get(userid)
        own = 0 if guide is None else self.base.count_of(guide)
        added, total = self._added.get(userid, []), self.size(userid)
        touched = self._touched.get(userid, ())
        found: list[int] = []
        while begin < total and (limit is None or len(found) < limit):
            step = total - begin if limit is None else min(limit - len(found), total - begin)
            rows = self.base.customers_of(guide, begin, begin + step) if guide is not None and begin < own else []
            rows += added[max(begin - own, 0) : max(begin + step - own, 0)]
            found += [n for n in rows if n not in touched or self.exists(userid, n)]
            begin += step
        return found, begin

    def count(self, userid: str) -> int:
        """How many usable relations the member has."""
        gone = sum(1 for n in self._touched.get(userid, ()) if not self.exists(userid, n))
        return self.size(userid) - gone

    # -- answers ---------------------------------------------------------------------------------------------------

    def living_tags(self, follow: Follow) -> list[str]:
        """The relation's corp tags without deleted ones."""
        return [tag for tag in follow.tags if self._tags.alive(tag)] if self._tags.any_deleted else follow.tags

    def forget_fragments(self) -> None:
        """Render anew from now on."""
        self._fragments.clear()
        self._fragment_bytes = 0

    def fragment(self, userid: str, number: int) -> bytes:
        """One element of batch/get_by_user as UTF-8 JSON, remembered while there is room."""
        key = (userid, number)
        known = self._fragments.get(key)
        if known is None:
            known = self._render(userid, number)
            if self._fragment_bytes + len(known) > CACHE_BYTES:
                self.forget_fragments()
            self._fragments[key] = known
            self._fragment_bytes += len(known)
        return known

    def _render(self, userid: str, number: int) -> bytes:
        follow = self.follow(userid, number)
        if follow is None:
            raise KeyError((userid, number))
        info = follow_fields(userid, follow)
        info["tag_id"] = self.living_tags(follow)
        item = {"external_contact": self.customer(number).public(), "follow_info": info}
        return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()


def follow_fields(userid: str, follow: Follow) -> dict:
    """The fields `get` and `batch/get_by_user` share; `state`, `oper_userid` are absent when not applicable."""
    shown = {
        "userid": userid,
        "remark": follow.remark,
        "description": follow.description,
        "createtime": follow.createtime,
        "remark_mobiles": follow.mobiles,
        "add_way": follow.add_way,
    }
    if follow.company:
        shown["remark_corp_name"] = follow.company
    if follow.oper_userid and follow.add_way:
        shown["oper_userid"] = follow.oper_userid
    if follow.state:
        shown["state"] = follow.state
    if follow.add_way == 10:
        shown["wechat_channels"] = {"nickname": "视频号小店", "source": 1}
    return shown
