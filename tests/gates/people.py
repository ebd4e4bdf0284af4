"""Scenes of people for a stack that is being hurt: a remark, a reminder, two guides with one customer, a hand-over."""

from datetime import timedelta
from typing import Any

from tests.e2e.stack import wait_until

ASKED = "externalcontact/transfer_customer"
ASKED_GROUPS = "externalcontact/groupchat/onjob_transfer"
FIRST = {
    "follow.remark": "externalcontact/remark", "todo.remind": "message/send", "clash.tell": "message/send",
    "deletion_alarm.tell": "message/send", "handover.ask": ASKED, "handover.ask_groups": ASKED_GROUPS,
    "handover.read_unassigned": "externalcontact/get_unassigned_list",
}  # fmt: skip
THEN = {
    "handover.read_results": "externalcontact/transfer_result", "handover.read_owner": "externalcontact/groupchat/get",
}  # fmt: skip
# A hand-over is looked at after an hour, and is done a while later.
LOOKED_AT, DONE_AFTER = timedelta(minutes=61), timedelta(minutes=80)
REMARK = "老客"
TITLES = ("待办到期", "撞单提醒")


class People:
    """Three guides: one hands over to another, and that one meets a third over a customer."""

    def __init__(self, stack: Any, *, spared: str, author: int) -> None:
        """spared: the guide of whom other scenes speak; author: who writes on our pages."""
        self.stack, self.wecom, self.author = stack, stack.wecom, author
        # Our row alone must learn of the groups' new owner by asking.
        switches = {"transfer_seconds": int(DONE_AFTER.total_seconds()), "group_transfer_event": False}
        self.wecom.post("switches", switches)
        guides = stack.rows(
            "SELECT m.id, m.userid, (SELECT count(*) FROM contacts_groupchat g WHERE g.owner_id = m.id AND g.dismissed_at IS NULL) groups"
            " FROM contacts_member m WHERE m.status = 'active' AND m.has_customer_contact AND m.userid <> %s"
            " AND EXISTS (SELECT 1 FROM contacts_follow f WHERE f.member_id = m.id AND f.relation = 'active')"
            " ORDER BY groups DESC, m.id LIMIT 3",
            spared,
        )
        self.giver, self.second, self.first = guides
        assert self.giver["groups"], "a guide with groups"
        self.noted, self.shared = stack.rows(
            "SELECT f.id, f.contact_id, i.value FROM contacts_follow f JOIN contacts_identity i ON i.id = f.identity_id"
            " WHERE f.member_id = %s AND f.relation = 'active' AND f.contact_id NOT IN"
            " (SELECT contact_id FROM contacts_follow WHERE member_id <> f.member_id) ORDER BY f.id LIMIT 2",
            self.first["id"],
        )
        self.plan: dict[str, int] = {}

    # --- What is wished for

    def note(self) -> None:
        self.stack.inside("edit_remark", follow=self.noted["id"], remark=REMARK)

    def remember(self) -> None:
        """A to-do that is due in a moment."""
        self.stack.inside("remind_soon", follow=self.noted["id"], author=self.author)
        self._wished("todo.remind")

    def meet(self) -> None:
        """A customer of one guide adds another."""
        self.wecom.hand("add", userid=self.second["userid"], external_userid=self.shared["value"])
        self._wished("clash.tell")

    def delete_many(self) -> None:
        """The first guide deletes more customers than one does; the author may lift what that freezes, and is told as a member."""
        free = "SELECT id FROM contacts_member m WHERE status = 'active' AND NOT EXISTS (SELECT 1 FROM contacts_memberaccount a WHERE a.member_id = m.id)"
        self.stack.inside("link", user=self.author, member=self.stack.value(f"{free} ORDER BY id LIMIT 1"))
        own = "SELECT i.value FROM contacts_follow f JOIN contacts_identity i ON i.id = f.identity_id WHERE f.member_id = %s AND f.relation = 'active' AND f.id <> ALL(%s) ORDER BY f.id DESC LIMIT 6"
        for row in self.stack.rows(own, self.first["id"], [self.noted["id"], self.shared["id"]]):
            self.wecom.hand("guide_deletes", userid=self.first["userid"], external_userid=row["value"])
        self._wished("deletion_alarm.tell")

    def hand_over(self) -> None:
        pair = {"giver": self.giver["userid"], "taker": self.second["userid"]}
        self.plan = self.stack.inside("hand_over", **pair)
        self._wished("handover.ask", "handover.ask_groups")

    def count_unassigned(self) -> None:
        self.stack.inside("ask_for_unassigned")

    def look(self) -> None:
        """An hour goes by, and what WeCom did is asked for."""
        self._later(LOOKED_AT)
        self._wished(*THEN)

    def _later(self, by: timedelta) -> None:
        """Both clocks move; nobody waits for what falls due."""
        offset = self.wecom.post("clock", {"advance": by.total_seconds()})["offset"]
        self.stack.visitor().api("PUT", "/api/v1/sandbox/clock", {"offset_seconds": offset})

    def _wished(self, *kinds: str) -> None:
        open_ones = (
            "SELECT count(DISTINCT kind) FROM wecom_bridge_outboundcommand WHERE settled_at IS NULL AND kind = ANY(%s)"
        )
        wait_until(f"the wishes {kinds}", lambda: self.stack.value(open_ones, list(kinds)) == len(kinds), 90)

    def settled(self) -> None:
        """Until each of the first wishes has its end."""
        open_ones = "SELECT kind FROM wecom_bridge_outboundcommand WHERE settled_at IS NULL AND kind = ANY(%s)"
        wait_until("the wishes' ends", lambda: not self.stack.rows(open_ones, [*FIRST]), 300)

    # --- What came of it

    def check(self) -> None:
        """Everything was done once, in WeCom as in our rows."""
        self._remark()
        self._messages()
        self._hand_over()

    def _remark(self) -> None:
        ours = "SELECT remark FROM contacts_follow WHERE id = %s"
        assert self.stack.value(ours, self.noted["id"]) == REMARK
        theirs = self.wecom.ask(f"customers/{self.noted['value']}")["follows"]
        assert [row["remark"] for row in theirs if row["userid"] == self.first["userid"]] == [REMARK]
        facts = "SELECT count(*) FROM contacts_timelineevent WHERE kind = 'follow.remarked' AND contact_id = %s"
        assert self.stack.value(facts, self.noted["contact_id"]) == 1

    def _messages(self) -> None:
        """The first guide saw the reminder and the notice, the second the notice: each once."""
        assert self.stack.value("SELECT reminder FROM contacts_todo") == "sent"
        assert self.stack.value("SELECT told FROM contacts_clash WHERE member_id = %s", self.second["id"]) == "sent"
        seen = {one["userid"]: self._inbox(one["userid"]) for one in (self.first, self.second)}
        assert seen == {self.first["userid"]: ["待办到期", "撞单提醒"], self.second["userid"]: ["撞单提醒"]}
        assert self.stack.value("SELECT told FROM contacts_deletionalarm") == "sent"
        members = [
            row["userid"] for row in self.stack.rows("SELECT userid FROM contacts_member WHERE status = 'active'")
        ]
        alarms = [self._inbox(userid, ("导购异常删除客户",)) for userid in members]
        assert any(alarms) and all(len(titles) <= 1 for titles in alarms), alarms

    def _inbox(self, userid: str, wanted: tuple[str, ...] = TITLES) -> list[str]:
        rows = self.wecom.ask(f"members/{userid}/inbox")["messages"]
        titles = [row["content"].get("title") for row in rows if not row.get("dropped")]
        return sorted(title for title in titles if title in wanted)

    def _hand_over(self) -> None:
        rows = self.stack.rows("SELECT state, count(*) n FROM contacts_handoverrow WHERE plan_id = %s GROUP BY state", self.plan["plan"])  # fmt: skip
        assert [(row["state"], row["n"]) for row in rows] == [("done", self.plan["rows"])]
        batches = -(-self.plan["customers"] // 100)
        for endpoint, count in ((ASKED, batches), (ASKED_GROUPS, 1)):
            assert len([row for row in self.wecom.calls(endpoint) if row["errcode"] == 0]) == count, endpoint
        assert self.wecom.ask("groups", owner=self.giver["userid"])["groups"] == []
        left = "SELECT count(*) FROM contacts_follow WHERE member_id = %s AND relation = 'active'"
        assert self.stack.value(left, self.giver["id"]) == 0
        moved = "SELECT count(*) FROM contacts_timelineevent WHERE kind = 'follow.transferred' AND member_id = %s"
        assert self.stack.value(moved, self.giver["id"]) == self.plan["customers"]
