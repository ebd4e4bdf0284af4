"""The inner XML of each event, elements in WeCom's order, those that do not apply left out."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

Value = str | int | list[str] | list[tuple[str, "Value"]]


@dataclass
class Event:
    """An event before it has a corp and a time. `welcome_code` tells the sender whose 20 seconds begin; `by` is FromUserName."""

    name: str
    fields: list[tuple[str, Value]]
    welcome_code: str = ""
    by: str = "sys"

    def xml(self, corp_id: str, created: int) -> str:
        """The plaintext that is encrypted and posted."""
        head: list[tuple[str, Value]] = [
            ("ToUserName", corp_id),
            ("FromUserName", self.by),
            ("CreateTime", created),
            ("MsgType", "event"),
            ("Event", self.name),
        ]
        return "<xml>" + "".join(_element(tag, value) for tag, value in head + self.fields) + "</xml>"

    def shown(self) -> dict:
        """The event as a dictionary, for the control API."""
        return {"Event": self.name} | dict(self.fields)


def _element(tag: str, value: Value) -> str:
    if isinstance(value, int):
        return f"<{tag}>{value}</{tag}>"
    if isinstance(value, list):
        inner = (_element(*item) if isinstance(item, tuple) else _element("Item", item) for item in value)
        return f"<{tag}>" + "".join(inner) + f"</{tag}>"
    return f"<{tag}>{cdata(value)}</{tag}>"


def cdata(text: str) -> str:
    """A CDATA section; a text that would close it early is escaped instead."""
    return escape(text) if "]]>" in text else f"<![CDATA[{text}]]>"


def _contact(change: str, userid: str, external_userid: str, *, state: str = "", code: str = "") -> Event:
    fields: list[tuple[str, Value]] = [
        ("ChangeType", change),
        ("UserID", userid),
        ("ExternalUserID", external_userid),
    ]
    if state:
        fields.append(("State", state))
    if code:
        fields.append(("WelcomeCode", code))
    return Event("change_external_contact", fields, welcome_code=code)


def add_contact(userid: str, external_userid: str, *, state: str = "", code: str = "") -> Event:
    """A member gained a contact."""
    return _contact("add_external_contact", userid, external_userid, state=state, code=code)


def add_half_contact(userid: str, external_userid: str, *, state: str = "", code: str = "") -> Event:
    """A customer added a skip-verify member who has not confirmed yet."""
    return _contact("add_half_external_contact", userid, external_userid, state=state, code=code)


def edit_contact(userid: str, external_userid: str) -> Event:
    """A member changed remark or tags."""
    return _contact("edit_external_contact", userid, external_userid)


def delete_contact(userid: str, external_userid: str, *, source: str = "") -> Event:
    """A member deleted a customer; `source` DELETE_BY_TRANSFER when a hand-over did."""
    event = _contact("del_external_contact", userid, external_userid)
    if source:
        event.fields.append(("Source", source))
    return event


def delete_follower(userid: str, external_userid: str) -> Event:
    """A customer deleted a member."""
    return _contact("del_follow_user", userid, external_userid)


def transfer_fail(userid: str, external_userid: str, reason: str) -> Event:
    """A hand-over to the member `userid` failed: customer_refused or customer_limit_exceed."""
    event = _contact("transfer_fail", userid, external_userid)
    event.fields.insert(1, ("FailReason", reason))
    return event


def change_chat(chat_id: str, change: str) -> Event:
    """A group was created or dismissed."""
    return Event("change_external_chat", [("ChatId", chat_id), ("ChangeType", change)])


def update_chat(chat_id: str, detail: str) -> Event:
    """A group's owner, name or notice changed."""
    event = change_chat(chat_id, "update")
    event.fields.append(("UpdateDetail", detail))
    return event


def change_members(chat_id: str, detail: str, scene: int, members: list[str], versions: tuple[str, str]) -> Event:
    """Members joined (add_member, JoinScene) or left (del_member, QuitScene) a group."""
    event = update_chat(chat_id, detail)
    event.fields += [
        ("JoinScene" if detail == "add_member" else "QuitScene", scene),
        ("MemChangeCnt", len(members)),
        ("MemChangeList", members),
        ("LastMemVer", versions[0]),
        ("CurMemVer", versions[1]),
    ]
    return event


def change_tag(row_id: str, kind: str, change: str) -> Event:
    """A tag (kind `tag`) or group (`tag_group`) was created, updated or deleted."""
    return Event("change_external_tag", [("Id", row_id), ("TagType", kind), ("ChangeType", change)])


def shuffle_tags(group_id: str) -> Event:
    """The tags of a group were put in another order; without an id, the groups themselves."""
    return Event("change_external_tag", [("Id", group_id), ("ChangeType", "shuffle")])


def change_contact(change: str, fields: list[tuple[str, Value]]) -> Event:
    """The directory changed: create_user, update_user, delete_user, create_party, …"""
    return Event("change_contact", [("ChangeType", change), *fields])


def acquisition(change: str, **fields: Value) -> Event:
    """What happened to acquisition links and their quota; elements in the order given, empty texts left out."""
    kept = [(name, value) for name, value in fields.items() if value != ""]
    return Event("customer_acquisition", [("ChangeType", change), *kept])
