"""A week in which WeCom's callbacks are lost, doubled and shuffled: after each night we have what WeCom has."""

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.stack import Stack, wait_until
from tests.gates.truth import relations, truth

pytestmark = pytest.mark.gate
ZONE = ZoneInfo("Asia/Shanghai")
DAYS = 7
ACTS = 40  # a day
CHAOS = {"callback_drop": 0.05, "callback_double": 0.05, "callback_reorder": 1.0}


class Week:
    """People come, go, are noted, tagged, grouped; members and tags change. What the test did is noted for the comparison."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.wecom, self.driver = stack, stack.wecom, stack.driver()
        self.dice = random.Random(seed)
        self.guides = [row["userid"] for row in self.wecom.ask("members")["members"] if row["contact"]]
        self.friends = {(row["external_userid"], userid) for row in truth(stack) for userid in row["followers"]}
        self.left_by_customer: set[tuple[str, str]] = set()
        self.tags = list(self.wecom.hand("console_tags", group="口味", names=["偏甜", "偏咸"])["tags"].values())
        self.groups = [row["chat_id"] for row in self.wecom.ask("groups")["groups"]]
        self.came: list[str] = []
        self.inside: dict[str, set[str]] = {}
        self.count = 0

    def live(self) -> None:
        """One day, some acts an hour; then the night comes."""
        now = self.driver.now().astimezone(ZONE)
        morning = now.replace(hour=10, minute=0, second=0, microsecond=0)
        self.driver.move_to(morning if now < morning else morning + timedelta(days=1))
        people = (
            self.come,
            self.come,
            self.note,
            self.note,
            self.tag,
            self.tag,
            self.guide_deletes,
            self.customer_deletes,
        )
        places = (
            self.group_join,
            self.group_leave,
            self.group_change,
            self.group_create,
            self.staff_change,
            self.new_tag,
        )
        for number in range(ACTS):
            self.count += 1
            self.dice.choice(people if number % 4 else places)()
            if number % 10 == 9:
                self.driver.advance(timedelta(hours=2))
        self.driver.move_to((morning + timedelta(days=1)).replace(hour=4, minute=45))

    def pick(self) -> tuple[str, str]:
        return self.dice.choice(sorted(self.friends))

    def come(self) -> None:
        guide = self.dice.choice(self.guides)
        made = self.wecom.hand("add", userid=guide, name=f"来客{self.count}号", state=f"s{self.count % 5}")
        self.friends.add((made["external_userid"], guide))
        self.came.append(made["external_userid"])

    def note(self) -> None:
        external, guide = self.pick()
        phone = f"139{self.count:08d}"
        self.wecom.hand(
            "edit_notes", userid=guide, external_userid=external, remark=f"备注{self.count}", remark_mobiles=[phone]
        )

    def tag(self) -> None:
        external, guide = self.pick()
        added, removed = self.dice.sample(self.tags, 2)
        self.wecom.hand("tag", userid=guide, external_userid=external, add=[added], remove=[removed])

    def guide_deletes(self) -> None:
        pair = self.pick()
        self.wecom.hand("guide_deletes", userid=pair[1], external_userid=pair[0])
        self.friends.discard(pair)

    def customer_deletes(self) -> None:
        pair = self.pick()
        self.wecom.hand("customer_deletes", userid=pair[1], external_userid=pair[0])
        self.friends.discard(pair)
        self.left_by_customer.add(pair)

    def group_join(self) -> None:
        """Somebody who came this week: of the others we do not know where they are."""
        chat_id = self.dice.choice(self.groups)
        newcomers = sorted(set(self.came) - self.inside.setdefault(chat_id, set()))
        if newcomers:
            who = self.dice.choice(newcomers)
            self.wecom.hand("group_join", chat_id=chat_id, members=[who])
            self.inside[chat_id].add(who)

    def group_leave(self) -> None:
        chat_id = self.dice.choice(self.groups)
        inside = self.inside.setdefault(chat_id, set())
        if inside:
            who = self.dice.choice(sorted(inside))
            self.wecom.hand("group_leave", chat_id=chat_id, members=[who])
            inside.discard(who)

    def group_change(self) -> None:
        self.wecom.hand("group_change", chat_id=self.dice.choice(self.groups), name=f"群{self.count}")

    def group_create(self) -> None:
        external, guide = self.pick()
        made = self.wecom.hand("group_create", owner=guide, name=f"新群{self.count}", members=[external])
        self.groups.append(made["chat_id"])
        self.inside[made["chat_id"]] = {external}

    def staff_change(self) -> None:
        self.wecom.hand("member_changes", userid=self.dice.choice(self.guides), position=f"岗位{self.count}")

    def new_tag(self) -> None:
        made = self.wecom.hand("console_tags", group="口味", names=[f"味{self.count}"])["tags"]
        self.tags += [tag for tag in made.values() if tag not in self.tags]


def test_a_week_of_lost_doubled_and_shuffled_callbacks_ends_without_drift(stack):
    week = Week(stack, seed=20260310)
    stack.wecom.post("switches", CHAOS)
    for _day in range(DAYS):
        week.live()
    stack.wecom.post("switches", dict.fromkeys(CHAOS, 0.0))
    week.driver.settle()

    nights = stack.rows(
        "SELECT state, drift_counts, last_error FROM wecom_bridge_syncrun WHERE night IS NOT NULL ORDER BY night"
    )
    assert len(nights) == DAYS and {row["state"] for row in nights} == {"done"}, nights
    found = sum(
        count
        for row in nights
        for one in row["drift_counts"].values()
        for kind, count in one.items()
        if kind != "repaired"
    )
    assert found > 0, "callbacks were lost, so the nights had something to mend"
    assert stack.value("SELECT count(*) FROM wecom_bridge_driftrow WHERE repaired_at IS NULL") == 0

    run = stack.inside("compare")
    done = "SELECT state FROM wecom_bridge_syncrun WHERE id = %s"
    wait_until("the comparison", lambda: stack.value(done, run) in ("done", "failed", "confirm"), 120)
    assert stack.value(done, run) == "done"
    assert stack.rows("SELECT entity, kind, key, before, after FROM wecom_bridge_driftrow WHERE run_id = %s", run) == []

    friends = {(row["external_userid"], userid) for row in truth(stack) for userid in row["followers"]}
    ours, unheard = relations(stack), week.left_by_customer
    assert friends - unheard <= ours, "nobody is missing"
    # WeCom lists a relation that its customer ended like any other: where that callback was lost, nobody can know.
    assert ours - (friends - unheard) <= unheard
    print({"nights": len(nights), "mended": found, "relations": len(ours), "unheard deletions": len(ours & unheard)})


LIST = "externalcontact/batch/get_by_user"
EMPTY = {"errcode": 0, "errmsg": "ok", "external_contact_list": [], "next_cursor": ""}
STANDING = (
    "SELECT (SELECT count(*) FROM contacts_department WHERE NOT is_gone) AS departments,"
    " (SELECT count(*) FROM contacts_member WHERE status = 'active' AND has_customer_contact) AS guides,"
    " (SELECT count(*) FROM tagging_tag WHERE deleted_at IS NULL) AS tags,"
    " (SELECT count(*) FROM contacts_groupchat WHERE dismissed_at IS NULL) AS groups,"
    " (SELECT count(*) FROM contacts_follow WHERE relation = 'active') AS friends"
)


def test_failed_and_empty_lists_destroy_nothing(stack):
    """One guide's list, a page of groups, the members: each fails or comes back empty, and all stays as it was."""
    wecom, driver = stack.wecom, stack.driver()
    guides = [row["userid"] for row in wecom.ask("members")["members"] if row["contact"]]
    [someone] = [row["external_userid"] for row in wecom.hand("customers", userid=guides[0], limit=1)["customers"]]
    for number in range(247):
        wecom.hand("group_create", owner=guides[0], name=f"群{number}", members=[someone])
    driver.settle()
    before = stack.rows(STANDING)
    assert before[0]["groups"] == 250 and before[0]["friends"] > 500

    for trouble in ({"errcode": 60011}, {"errcode": 40003}, {"http_status": 502}):
        wecom.script(LIST, match={"userid_list": [guides[0]]}, times=1, **trouble)
        assert reconcile(stack) == "done" and stack.rows(STANDING) == before, trouble

    chat_ids = [row["chat_id"] for row in wecom.ask("groups")["groups"]][:100]
    rows = [{"chat_id": chat_id, "status": 0} for chat_id in chat_ids]
    page = {"errcode": 0, "errmsg": "ok", "group_chat_list": rows, "next_cursor": "page2"}
    wecom.script("externalcontact/groupchat/list", body=page, times=1)
    wecom.script("externalcontact/groupchat/list", errcode=40050, times=1)
    assert reconcile(stack) == "done" and stack.rows(STANDING) == before

    for endpoint, body in (
        ("user/list", {"userlist": []}),
        ("department/list", {"department": []}),
        ("externalcontact/get_follow_user_list", {"follow_user": []}),
        ("externalcontact/get_corp_tag_list", {"tag_group": []}),
    ):
        wecom.script(endpoint, body={"errcode": 0, "errmsg": "ok"} | body, times=1)
        assert reconcile(stack) == "done" and stack.rows(STANDING) == before, endpoint

    wecom.script(LIST, body=EMPTY, match={"userid_list": [guides[0]]}, times=1)
    assert reconcile(stack) == "confirm" and stack.rows(STANDING) == before, "so many at once: a person is asked"


def reconcile(stack: Stack) -> str:
    """How a full reading ends; it met every trouble that was laid in its way."""
    run = stack.inside("reconcile")
    state = "SELECT state FROM wecom_bridge_syncrun WHERE id = %s"
    wait_until("the reconciliation", lambda: stack.value(state, run) in ("done", "failed", "confirm"), 120)
    assert stack.wecom.get("script")["scripts"] == []
    return str(stack.value(state, run))
