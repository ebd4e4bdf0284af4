"""What follows from an acquisition link (获客助手): its events, its quota, and what the console does with both."""

from typing import TYPE_CHECKING

from simulator.callbacks import events
from simulator.clock import wall
from simulator.hands.errors import HandError
from simulator.world.acquisition import LOW_BELOW, Lead, Link

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator

DAY = 86_400
TOLD_MESSAGES = (3, 5, 10)


def _tell(sim: "Simulator", corp: "Corp", change: str, at: int | None = None, **fields: events.Value) -> None:
    sim.emit(corp, events.acquisition(change, **fields), at)


# -- a customer's way ----------------------------------------------------------------------------------------------


def clicked(sim: "Simulator", corp: "Corp", link: Link, who: str, state: str) -> None:
    """Somebody opened the link; `who` is empty for a browser we cannot tell. Told where the industry may (switch)."""
    link.clicks.append((sim.clock.now(), who))
    sim.touched = True
    if sim.switches.acquisition_open_profile:
        _tell(sim, corp, "open_profile", LinkId=link.link_id, State=state)


def requested(sim: "Simulator", corp: "Corp", link: Link, state: str) -> None:
    """The customer asks to be added."""
    _tell(sim, corp, "friend_request", LinkId=link.link_id, State=state)


def brought(sim: "Simulator", corp: "Corp", link: Link, number: int, userid: str, state: str) -> None:
    """The link has one more customer; one who comes back keeps what she wrote before, and is not billed twice."""
    old = [lead for lead in link.leads if (lead.number, lead.userid) == (number, userid)]
    if old:
        old[0].state, old[0].at = state, sim.clock.now()
        return
    link.leads.append(Lead(number, userid, state, sim.clock.now()))
    if sim.switches.acquisition_billed_at_add:
        use_quota(sim, corp)


def spoken(sim: "Simulator", corp: "Corp", userid: str, number: int) -> None:
    """The customer sent the member a message: her first is told and billed, her 3rd, 5th and 10th are told with a key."""
    found = corp.acquisition.lead_of(userid, number)
    if found is None:
        return
    link, lead = found
    lead.messages += 1
    who = {"UserID": userid, "ExternalUserID": corp.customers.external_userid(number)}
    if lead.messages == 1:
        names = {"LinkId": link.link_id, "State": lead.state} if sim.switches.acquisition_start_chat_names_link else {}
        _tell(sim, corp, "customer_start_chat", **who, **names)
        if not sim.switches.acquisition_billed_at_add:
            use_quota(sim, corp)
    elif lead.messages in TOLD_MESSAGES:
        key = corp.acquisition.new_key(link, lead, wall())
        _tell(sim, corp, "message_from_customer", LinkId=link.link_id, State=lead.state, ChatKey=key)


# -- quota ---------------------------------------------------------------------------------------------------------


def use_quota(sim: "Simulator", corp: "Corp") -> None:
    """One customer is billed; low and empty balances are told when they are reached."""
    before = corp.acquisition.balance(sim.clock.now())
    corp.acquisition.use(sim.clock.now())
    _tell_balance(sim, corp, before, sim.clock.now())


def _tell_balance(sim: "Simulator", corp: "Corp", before: int, at: int) -> None:
    after = corp.acquisition.balance(at)
    if after == 0 < before:
        _tell(sim, corp, "balance_exhausted", at)
    elif after < LOW_BELOW <= before:
        _tell(sim, corp, "balance_low", at)
    elif before == 0 < after:
        _tell(sim, corp, "balance_increased", at)


def buy_quota(sim: "Simulator", corp: "Corp", count: int, days: int) -> dict:
    """The administrator buys more, good for `days`."""
    if count < 1 or days < 1:
        raise HandError("数量与天数应大于 0")
    now, desk = sim.clock.now(), corp.acquisition
    before = desk.balance(now)
    desk.buy(count, now, now + days * DAY)
    _tell_balance(sim, corp, before, now)
    return {"total": desk.total, "balance": desk.balance(now)}


def drain_quota(sim: "Simulator", corp: "Corp", left: int) -> dict:
    """Customers brought elsewhere used the quota up, but for `left`."""
    now, desk = sim.clock.now(), corp.acquisition
    before = desk.balance(now)
    while desk.balance(now) > left and desk.use(now):
        pass
    _tell_balance(sim, corp, before, now)
    return {"balance": desk.balance(now)}


def next_warning(corp: "Corp") -> int | None:
    """When the next purchase is about to end, or ends."""
    found = corp.acquisition.next_warning()
    return found[0] if found else None


def give_warning(sim: "Simulator", corp: "Corp") -> None:
    """quota_expire_soon 14, 7, 3, 2 and 1 days before the end of a purchase; at the end its rest is gone."""
    found = corp.acquisition.next_warning()
    if found is None:
        return
    at, quota, days = found
    quota.told.add(days)
    if days:
        if at >= quota.bought:
            _tell(sim, corp, "quota_expire_soon", at, ExpireTime=quota.expires, ExpireQuotaNum=quota.left)
        return
    before = corp.acquisition.balance(at - 1)
    _tell_balance(sim, corp, before, at)


# -- the console ---------------------------------------------------------------------------------------------------


def _link(corp: "Corp", link_id: str) -> Link:
    link = corp.acquisition.links.get(link_id)
    if link is None:
        raise HandError("没有这个获客链接")
    return link


def console_link(sim: "Simulator", corp: "Corp", name: str, users: list[str]) -> dict:
    """The administrator makes a link of her own, which no app sees."""
    desk = corp.acquisition
    return {"link_id": desk.new(name, sim.clock.now(), users, [], by="console").link_id}


def delete_link(sim: "Simulator", corp: "Corp", link_id: str) -> dict:
    """The administrator deletes a link; the app that made it is told."""
    link = _link(corp, link_id)
    del corp.acquisition.links[link_id]
    if link.by != "console":
        _tell(sim, corp, "delete_link", LinkId=link_id)
    return {}


def link_unavailable(sim: "Simulator", corp: "Corp", link_id: str, *, mended: bool) -> dict:
    """The link leads nowhere (all its members left, it was reported …), or works again (`mended`), of which nobody is told."""
    link = _link(corp, link_id)
    link.unavailable = not mended
    if link.unavailable:
        _tell(sim, corp, "link_unavailable", LinkId=link_id)
    return {}


def set_permit(corp: "Corp", given: dict) -> dict:
    """Who may use the assistant: user_list, department_list, tag_list."""
    for name in corp.acquisition.permit:
        corp.acquisition.permit[name] = list(given.get(name) or [])
    return dict(corp.acquisition.permit)
