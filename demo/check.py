"""The main job from its first scan to its last number, headless: real HTTP, callbacks and workers; each step says what it saw.

Works on the chain merchant as `demo_prepare` left her. Any step that does not hold raises CheckFailed.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from demo import simulated
from demo.driver import Driver, wait_for
from demo.living import SOP_STEPS
from demo.scenarios.model import POSTER
from demo.visitor import Refused, Visitor

Say = Callable[[str], None]
LIN, CHEN = "linxiaoya", "chenjing"
TEXT = "周末到店体验试色,{门店名}给您留了小样。{导购名}"
WELCOME_WITHIN = 20.0
RULE_WITHIN = 60.0
SHOP_ZONE = ZoneInfo("Asia/Shanghai")


class CheckFailed(AssertionError):
    """A step did not hold; the message says which and what was seen instead."""


@dataclass
class Newcomer:
    """A customer who scanned the poster in this run."""

    name: str
    guide: str
    external_userid: str
    contact_id: int = 0


@dataclass
class Job:
    """The main job and what its steps found out for the later ones."""

    info: dict[str, Any]
    say: Say
    people: list[Newcomer] = field(default_factory=list)
    push_pk: str = ""
    excluded: Newcomer | None = None
    came_on: date = date.min

    def __post_init__(self) -> None:
        self.tenant = self.info["tenants"][0]
        self.corp_id = self.tenant["corps"][0]["corp_id"]
        self.driver = Driver([self._visitor(row) for row in self.info["tenants"]])
        self.hq, self.approver = self._logged_in("hq"), self._logged_in("approver")
        self.guides = {LIN: self._logged_in("guide"), CHEN: self._logged_in("store")}

    def _visitor(self, tenant: dict[str, Any]) -> Visitor:
        return Visitor(self.info["connect"], tenant["host"], token=tenant["api_token"])

    def _logged_in(self, role: str) -> Visitor:
        visitor, user = self._visitor(self.tenant), self.tenant["users"][role]
        visitor.log_in(user["username"], user["password"])
        return visitor

    def run(self) -> None:
        """Every step, in order."""
        for number, step in enumerate(STEPS, start=1):
            begun = time.monotonic()
            saw = step(self)
            title = (step.__doc__ or "").split(".")[0]
            self.say(f"  {number:>2}. {title}: {saw} ({time.monotonic() - begun:.1f} s)")

    def hand(self, act: str, **body: Any) -> dict[str, Any]:
        return simulated.hand(act, corp_id=self.corp_id, **body)

    def inbox(self, external_userid: str, kind: str) -> list[dict[str, Any]]:
        """What a customer received, of one kind."""
        path = f"/control/customers/{external_userid}/inbox?corp_id={self.corp_id}"
        return [row for row in simulated.call("GET", path)["messages"] if row["kind"] == kind]

    def of(self, guide: str) -> list[Newcomer]:
        return [person for person in self.people if person.guide == guide]


def expect(what: str, seen: Any, wanted: Any) -> None:
    """Raises CheckFailed unless the two are equal."""
    if seen != wanted:
        raise CheckFailed(f"{what}: saw {seen!r}, expected {wanted!r}")


# --- Steps: each is a function whose first sentence is its title; it returns what it saw ------------------------------


def mirror_is_complete(job: Job) -> str:
    """The mirror holds what WeCom has."""
    shown = int(job.hq.get("/contacts/?count=exact").find(r"共 ([\d,]+)").replace(",", ""))
    known = simulated.call("GET", f"/control/customers?corp_id={job.corp_id}&limit=1")["total"]
    groups = int(job.hq.get("/groups/").find(r"共 ([\d,]+)").replace(",", ""))
    expect("customers on the page", shown, known)
    return f"{shown:,} customers, {groups} groups"


def customers_scan(job: Job) -> str:
    """Six customers scan the poster and are welcomed within 20 seconds."""
    begun = time.monotonic()
    job.came_on = job.driver.now().astimezone(SHOP_ZONE).date()
    for number in range(6):
        guide, name = (LIN, CHEN)[number % 2], f"试色来客{number + 1}号"
        answer = job.hand("add", userid=guide, name=name, state=POSTER)
        job.people.append(Newcomer(name, guide, answer["external_userid"]))

    def all_welcomed() -> bool:
        return all(job.inbox(person.external_userid, "welcome") for person in job.people)

    wait_for("six welcomes", all_welcomed, WELCOME_WITHIN)
    took = time.monotonic() - begun
    words = job.inbox(job.people[0].external_userid, "welcome")[0]["content"]["text"]["content"]
    if "林小雅" not in words or "静安寺" not in words:
        raise CheckFailed(f"the welcome does not name guide and store: {words}")
    return f"all welcomed {took:.1f} s after the first scan: {words[:24]}…"


def customers_are_on_pages(job: Job) -> str:
    """They stand on the customers page, one each."""
    for person in job.people:

        def found(name: str = person.name) -> list[str]:
            return job.hq.get(f"/contacts/?q={quote(name)}").all(rf'href="/contacts/(\d+)/"[^>]*>{name}<')

        ids = wait_for(f"{person.name} on the page", found)
        expect(f"rows of {person.name}", len(set(ids)), 1)
        person.contact_id = int(ids[0])
    page = job.hq.get(f"/contacts/{job.people[0].contact_id}/")
    expect("stage of a newcomer", "新添加" in page.text, True)
    return f"{len(job.people)} rows, stage 新添加"


def rule_tags_them(job: Job) -> str:
    """The rule tags each in WeCom."""

    def tags_of(person: Newcomer) -> list[str]:
        truth = simulated.call("GET", f"/control/customers/{person.external_userid}?corp_id={job.corp_id}")
        return [tag for follow in truth["follows"] for tag in follow["tags"]]

    wait_for("a tag on each newcomer", lambda: all(tags_of(person) for person in job.people), RULE_WITHIN)
    return f"each carries {tags_of(job.people[0])}"


def author_submits(job: Job) -> str:
    """HQ writes a broadcast to the poster's customers and submits it."""
    now = job.driver.now()
    page = job.hq.submit(
        "/broadcasts/new/", {"name": "试色周末", "message_class": "service", "text": TEXT}, see="/broadcasts/new/"
    )
    path = page.path
    pk = page.find(r"/broadcasts/(\d+)/")
    segment = wait_for(
        "the segment with six people",
        lambda: job.hq.get(path).all(r'value="(\d+)"[^>]*>试色海报来客\(6\)'),
        60,
    )[0]
    notify = now + timedelta(minutes=30)
    times = {"notify_at": _local(notify), "confirm_by": _local(notify + timedelta(hours=6))}
    job.hq.submit(path, {"segment": segment, "holdout_percent": 0, **times}, see=path)

    def reachable() -> bool:
        return "6 人可以触达" in job.hq.get(f"/broadcasts/{pk}/preflight/").text

    wait_for("six reachable in 体检", reachable, 90)
    job.hq.submit(f"/broadcasts/{pk}/submit/", {}, see=f"/broadcasts/{pk}/preflight/")
    job.push_pk = pk
    return "体检: 6 reachable; submitted"


def _local(at: datetime) -> str:
    """As the composer's field wants it, in the merchants' time."""
    return at.astimezone(SHOP_ZONE).strftime("%Y-%m-%dT%H:%M")


def approver_releases(job: Job) -> str:
    """Another person approves; the audience is frozen."""
    pk = job.approver.get("/approvals/").find(r"/approvals/(\d+)/")
    job.approver.submit(f"/approvals/{pk}/approve/", {}, see=f"/approvals/{pk}/")
    page = job.hq.get(f"/broadcasts/{job.push_pk}/")
    expect("state of the broadcast", "待导购确认" in page.text, True)
    expect("frozen", "冻结 6 个" in page.text, True)
    return "frozen at 6, two units cut"


def guides_agree(job: Job) -> str:
    """Both guides agree in 今日; one leaves a customer out first."""
    job.excluded = job.of(LIN)[0]
    for userid, guide in job.guides.items():
        unit = guide.get("/today/").find(r'href="/today/(\d+)/">试色周末')
        if userid == LIN:
            page = guide.get(f"/today/{unit}/")
            row = page.find(rf'name="people" value="(\d+)"(?:(?!name="people").)*?{job.excluded.name}')
            reason = page.find(r'<select[^>]*name="reason">.*?<option[^>]*>([^<]+)<')
            guide.submit(f"/today/{unit}/exclude/", {"people": [row], "reason": reason}, see=f"/today/{unit}/")
        guide.submit(f"/today/{unit}/agree/", {}, see="/today/")
    tasks = job.hand("tasks")["tasks"]
    expect("tasks in WeCom before 通知时间", [t for t in tasks if t["userid"] in (LIN, CHEN)], [])
    return f"agreed; {job.excluded.name} left out; no task in WeCom yet"


def tasks_appear_and_one_confirms(job: Job) -> str:
    """At 通知时间 each guide has one task; one presses 发送."""
    job.driver.advance(timedelta(minutes=31))

    def tasks() -> dict[str, int]:
        found: dict[str, int] = {}
        for task in job.hand("tasks")["tasks"]:
            if task["userid"] in (LIN, CHEN):
                found[task["userid"]] = found.get(task["userid"], 0) + 1
        return found

    wait_for("one task for each guide", lambda: tasks() == {LIN: 1, CHEN: 1}, 60)
    job.hand("confirm_all", userid=LIN)
    job.driver.advance(timedelta(minutes=3))
    counts = {person.name: len(job.inbox(person.external_userid, "mass")) for person in job.people}
    wanted = {p.name: int(p.guide == LIN and p is not job.excluded) for p in job.people}
    expect("mass messages received", counts, wanted)
    return "2 customers received it once, 4 nothing"


def deadline_stops_the_rest(job: Job) -> str:
    """At 确认截止时间 the silent guide's unit is stopped, in WeCom too."""
    job.driver.advance(timedelta(hours=6))
    page = wait_for("the broadcast to end", lambda: _ended(job), 60)
    try:
        job.hand("confirm_all", userid=CHEN)
    except simulated.SimulatorRefused:
        pass
    silent = {person.name: len(job.inbox(person.external_userid, "mass")) for person in job.of(CHEN)}
    expect("messages of the stopped unit", set(silent.values()), {0})
    sums = {state: int(number) for state, number in page}
    expect("results", sums, {"发送成功": 2, "未执行": 1, "超时未确认": 3})
    return f"{sums}, together 6"


def _ended(job: Job) -> list[tuple[str, str]]:
    page = job.hq.get(f"/broadcasts/{job.push_pk}/")
    if "已结束" not in page.text:
        return []
    return re.findall(
        r"<tr[^>]*>\s*<td[^>]*>\s*(发送成功|未执行|超时未确认)(?:(?!</tr>).)*?>(\d+)<", page.text, re.DOTALL
    )


def order_is_counted(job: Job) -> str:
    """An order comes by API and HQ reads it in the funnel; every number opens into as many rows."""
    buyer = next(person for person in job.of(LIN) if person is not job.excluded)
    row = {
        "number": "CHECK-1", "total_minor": 32_800, "ordered_at": job.driver.now().isoformat(),
        "external_userid": buyer.external_userid,
    }  # fmt: skip
    job.driver.merchants[0].api("POST", "/api/v1/orders/", {"source": "check", "orders": [row]})
    job.driver.settle()
    name = "试色周末"
    page = job.hq.get("/reports/funnel/")
    push = page.find(rf'<option value="(\d+)"[^>]*>{name}')
    funnel = job.hq.get(f"/reports/funnel/?push={push}&by=guide&window=7")
    totals = funnel.find(r"<tfoot>(.*?)</tfoot>")
    numbers = [int(n.replace(",", "")) for n in _cells(totals)]
    expect("funnel totals", dict(zip(FUNNEL, numbers, strict=True)), WANTED_FUNNEL)
    links = list(funnel.all(r'href="(/reports/funnel/rows/[^"]+)">[\d,]+</a>'))
    shown = [int(n.replace(",", "")) for n in funnel.all(r'href="/reports/funnel/rows/[^"]+">([\d,]+)</a>')]
    for link, number in zip(links, shown, strict=True):
        expect(f"rows of {link}", int(job.hq.get(link).find(r"共 ([\d,]+) 条").replace(",", "")), number)
    return f"{WANTED_FUNNEL}; {len(links)} numbers opened, totals are rows"


def _cells(footer: str) -> list[str]:
    return re.findall(r'<td class="num">(?:<a[^>]*>)?([\d,]+)', footer)


def groups_receive(job: Job) -> str:
    """A broadcast to two chosen groups reaches each once, sent by their owner."""
    now = job.driver.now()
    tomorrow = now.astimezone(SHOP_ZONE).replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=1)
    job.driver.move_to(tomorrow)
    page = job.hq.submit(
        "/broadcasts/new/?target=groups",
        {"name": "群答疑", "message_class": "service", "text": "今晚8点讲换季泛红,有问题先留言。"},
        see="/broadcasts/new/?target=groups",
    )
    pk = page.find(r"/broadcasts/(\d+)/")
    groups = (
        page.all(r'name="groups" value="(\d+)"[^>]*>[^<]*?陈婧')[:2] or page.all(r'value="(\d+)"[^>]*>\s*[^<]*陈婧')[:2]
    )
    expect("groups of the owner on the page", len(groups), 2)
    times = {"notify_at": _local(tomorrow + timedelta(minutes=30)), "confirm_by": _local(tomorrow + timedelta(hours=8))}
    job.hq.submit(page.path, {"groups": groups, **times}, see=page.path)
    job.hq.submit(f"/broadcasts/{pk}/submit/", {}, see=f"/broadcasts/{pk}/preflight/")
    approval = job.approver.get("/approvals/").find(r"/approvals/(\d+)/")
    job.approver.submit(f"/approvals/{approval}/approve/", {}, see=f"/approvals/{approval}/")
    chen = job.guides[CHEN]
    unit = chen.get("/today/").find(r'href="/today/(\d+)/">群答疑')
    chen.submit(f"/today/{unit}/agree/", {}, see="/today/")
    job.driver.advance(timedelta(minutes=31))
    wait_for("the owner's task", lambda: job.hand("tasks", userid=CHEN)["tasks"], 60)
    job.hand("confirm_all", userid=CHEN)
    job.driver.advance(timedelta(minutes=3))
    listed = simulated.call("GET", f"/control/groups?corp_id={job.corp_id}&owner={CHEN}")["groups"]
    counts = sorted(len(_group_inbox(job, group["chat_id"])) for group in listed)
    expect("messages in the owner's four groups", counts, [0, 0, 1, 1])
    return "2 of 4 groups received it once"


def _group_inbox(job: Job, chat_id: str) -> list[Any]:
    rows = simulated.call("GET", f"/control/groups/{chat_id}/inbox?corp_id={job.corp_id}")["messages"]
    return [row for row in rows if "换季泛红" in str(row)]


def sop_begins(job: Job) -> str:
    """The SOP's first step, due at 15:00, goes to those whom no cap keeps from it."""
    _agree_and_send(job)
    # At 15:00 the others had the broadcast of today, or it still lay with their guide: one message a day.
    counts = {person.name: _received(job, person, 0) for person in job.people}
    expect("first SOP step received", counts, {p.name: int(p is job.excluded) for p in job.people})
    return "1 received it; 5 not, their message of the day was the broadcast's"


def sop_goes_on(job: Job) -> str:
    """Three days after they came, the second step goes to all of them."""
    while (job.driver.now().astimezone(SHOP_ZONE).date() - job.came_on).days < SOP_STEPS[1][0]:
        _walk_to(job, 15)
    _agree_and_send(job)
    counts = {person.name: [_received(job, person, step) for step in (0, 1)] for person in job.people}
    expect(
        "second SOP step received", {name: count[1] for name, count in counts.items()}, {p.name: 1 for p in job.people}
    )
    expect("customers who got the first step twice", [n for n, count in counts.items() if count[0] > 1], [])
    return "6 received it once; the first step was not repeated"


def _agree_and_send(job: Job) -> None:
    """Both guides agree to what waits in 今日, and press 发送 for every task."""
    for guide in job.guides.values():
        for unit in sorted(set(guide.get("/today/").all(r'action="/today/(\d+)/agree/"'))):
            guide.submit(f"/today/{unit}/agree/", {}, see="/today/")
    job.driver.advance(timedelta(minutes=2))
    for userid in job.guides:
        if job.hand("tasks", userid=userid)["tasks"]:
            job.hand("confirm_all", userid=userid)
    job.driver.advance(timedelta(minutes=6))


def _walk_to(job: Job, hour: int) -> None:
    now = job.driver.now().astimezone(SHOP_ZONE)
    at = now.replace(hour=hour, minute=1, second=0, microsecond=0)
    job.driver.move_to(at if at > now else at + timedelta(days=1))


def _received(job: Job, person: Newcomer, step: int) -> int:
    marker = SOP_STEPS[step][1][:8]
    return sum(marker in str(row) for row in job.inbox(person.external_userid, "mass"))


def nothing_is_left(job: Job) -> str:
    """Nothing waits, is parked or is in doubt at the bridge."""
    page = job.hq.get("/bridge/")
    left = {
        what: int(page.find(rf"{what}\D*?(\d+)")) for what in ("回调待处理", "回调已搁置", "调用待重试", "调用已搁置")
    }
    expect("rows left over", left, dict.fromkeys(left, 0))
    job.driver.settle()
    return "inbox and outbox are empty"


FUNNEL = (
    "targeted", "excluded", "holdout", "planned", "agreed", "confirmed", "sent", "failed", "unfinished", "unknown", "open",
    "buyers",
)  # fmt: skip
WANTED_FUNNEL = dict(zip(FUNNEL, (6, 0, 0, 6, 5, 2, 2, 0, 4, 0, 0, 1), strict=True))
STEPS: tuple[Callable[[Job], str], ...] = (
    mirror_is_complete, customers_scan, customers_are_on_pages, rule_tags_them, author_submits, approver_releases,
    guides_agree, tasks_appear_and_one_confirms, deadline_stops_the_rest, order_is_counted, sop_begins, groups_receive,
    sop_goes_on,
    nothing_is_left,
)  # fmt: skip


def run(info: dict[str, Any], say: Say) -> None:
    """The whole job. Raises CheckFailed, Refused or TimeoutError with what was seen."""
    try:
        Job(info, say).run()
    except Refused as error:
        raise CheckFailed(str(error)) from error
