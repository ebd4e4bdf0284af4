"""Calls that commands name (contracts.Call) and settle procedures ask: WeCom's own parameter names in, its answer out.

Every method takes keyword arguments alone, returns WeCom's answer (as a value of `shapes` where more than "ok" comes back) and
may raise CallError.
"""

import io
from typing import Any

from wecom_bridge.client import CONNECT_SECONDS
from wecom_bridge.gateway.core import UPLOAD_KEPT, UPLOAD_TIMEOUT, Core
from wecom_bridge.shapes import masses as shapes

WELCOME_TIMEOUT = (CONNECT_SECONDS, 4.0)  # of the 20 seconds a code lives

Answer = dict[str, Any]


class Acting(Core):
    """Writing methods, and the reading ones that settle them."""

    def mark_tag(
        self,
        *,
        userid: str,
        external_userid: str,
        add_tag: list[str] | None = None,
        remove_tag: list[str] | None = None,
    ) -> Answer:
        """EC/mark_tag: one member, one customer. At most 5 at once per corp (45033); 40068 unknown tag; 84061."""
        given = {"userid": userid, "external_userid": external_userid, "add_tag": add_tag, "remove_tag": remove_tag}
        return self._ask("mark_tag", {name: value for name, value in given.items() if value}, dict)

    def remark(self, *, userid: str, external_userid: str, **fields: Any) -> Answer:
        """EC/remark: remark (≤ 20 characters), description (≤ 150), remark_company (≤ 20), remark_mobiles
        (overwrites), remark_pic_mediaid (a picture of media/upload, 40007)."""
        return self._ask("remark", {"userid": userid, "external_userid": external_userid, **fields}, dict)

    def add_corp_tag(
        self,
        *,
        tag: list[dict[str, Any]],
        group_id: str | None = None,
        group_name: str | None = None,
        order: int | None = None,
    ) -> Answer:
        """EC/add_corp_tag: names ≤ 30 characters; 3000 tags per corp (40126). Answers tag_group with the tags added."""
        given = {"tag": tag, "group_id": group_id, "group_name": group_name, "order": order}
        return self._ask("add_corp_tag", given, dict)

    def edit_corp_tag(self, *, id: str, name: str | None = None, order: int | None = None) -> Answer:
        """EC/edit_corp_tag of a tag or a group this app made; 40071: the name is taken."""
        return self._ask("edit_corp_tag", {"id": id, "name": name, "order": order}, dict)

    def del_corp_tag(self, *, tag_id: list[str] | None = None, group_id: list[str] | None = None) -> Answer:
        """EC/del_corp_tag: a group goes with its last tag."""
        return self._ask("del_corp_tag", {"tag_id": tag_id, "group_id": group_id}, dict)

    def send_welcome_msg(
        self, *, welcome_code: str, text: dict[str, Any] | None = None, attachments: list[dict[str, Any]] | None = None
    ) -> Answer:
        """EC/send_welcome_msg: once per code, within 20 s of its callback. 41050 expired or used, 41051 used or already chatting."""
        given = {"welcome_code": welcome_code, "text": text, "attachments": attachments or None}
        return self._ask("send_welcome_msg", given, dict, timeout=WELCOME_TIMEOUT)

    def add_msg_template(self, **body: Any) -> shapes.MassMade:
        """EC/add_msg_template: a mass-message task for one sender; ≤ 10,000 customers or ≤ 2,000 groups. Answers msgid, fail_list.

        Raises ValueError without recipients: WeCom takes that for all customers of the sender.
        """
        if not (body.get("external_userid") or body.get("chat_id_list")):
            raise ValueError("a mass message needs recipients")
        return self._ask("add_msg_template", body, shapes.MassMade.read)

    def remind_groupmsg_send(self, *, msgid: str) -> Answer:
        """EC/remind_groupmsg_send: 3 in 24 h per message (41094)."""
        return self._ask("remind_groupmsg_send", {"msgid": msgid}, dict, subject=msgid)

    def cancel_groupmsg_send(self, *, msgid: str) -> Answer:
        """EC/cancel_groupmsg_send: what is not sent yet; what is, stays."""
        return self._ask("cancel_groupmsg_send", {"msgid": msgid}, dict)

    def get_groupmsg_list_v2(
        self, *, chat_type: str, start_time: int, end_time: int, creator: str | None = None, filter_type: int | None = None,
        limit: int = 100, cursor: str = "",
    ) -> shapes.MassList:  # fmt: skip
        """EC/get_groupmsg_list_v2: tasks made within at most a month; 100 a page."""
        given: dict[str, Any] = {
            "chat_type": chat_type,
            "start_time": start_time,
            "end_time": end_time,
            "creator": creator,
        }
        given |= {"filter_type": filter_type, "limit": limit, "cursor": cursor}
        return self._ask("get_groupmsg_list_v2", given, shapes.MassList.read)

    def get_groupmsg_task(self, *, msgid: str, limit: int = 1000, cursor: str = "") -> shapes.MassTaskList:
        """EC/get_groupmsg_task: task_list of {userid, status 0 not sent / 2 sent, send_time}. 41063 right after creation."""
        given = {"msgid": msgid, "limit": limit, "cursor": cursor}
        return self._ask("get_groupmsg_task", given, shapes.MassTaskList.read)

    def get_groupmsg_send_result(
        self, *, msgid: str, userid: str, limit: int = 1000, cursor: str = ""
    ) -> shapes.MassResultList:
        """EC/get_groupmsg_send_result: send_list with status 0 not sent, 1 sent, 2 no friend, 3 quota. Groups: only sent ones."""
        given = {"msgid": msgid, "userid": userid, "limit": limit, "cursor": cursor}
        return self._ask("get_groupmsg_send_result", given, shapes.MassResultList.read)

    def upload_media(self, *, type: str, filename: str, content: bytes) -> Answer:
        """media/upload: image, voice, video or file; media_id is good for 3 days."""
        kind = type

        def send() -> Answer:
            file = (filename, io.BytesIO(content))
            url, files = "media/upload", {"media": file}
            return self.client.post(url, params={"type": kind}, files=files, timeout=UPLOAD_TIMEOUT)

        return self._call("media/upload", send, kept=UPLOAD_KEPT)
