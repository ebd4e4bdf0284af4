"""Contact ways (联系我; reference 3). Every method takes WeCom's own parameter names and may raise CallError."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes import pieces
from wecom_bridge.shapes.contact_ways import AddedContactWay, ContactWay, ContactWayPage, ListedContactWay
from wecom_bridge.shapes.pieces import Row, integer, text

Answer = dict[str, Any]


class ContactWays(Core):
    """At most 500,000 permanent ways per corp, shared with group join ways (41045); the admin console does not show them."""

    def add_contact_way(self, *, type: int, scene: int, **fields: Any) -> AddedContactWay:
        """EC/add_contact_way. type 1 one member, 2 several; scene 1 mini-program, 2 QR code.

        fields: style (scene 1), remark (≤ 30 characters), skip_verify (default true), state (≤ 30 characters), user, party
        (together ≤ 100 members, 41041), is_exclusive, mark_source, and for temporary ways (medical corps only, type 1) is_temp,
        expires_in (7 days, ≤ 14), chat_expires_in (1 day, ≤ 14), unionid, conclusions. 41054 a member is not activated,
        40098 without real name, 84083 without customer contact. A lost answer: settling.contact_ways, by a unique state.
        """
        return self._ask("add_contact_way", {"type": type, "scene": scene, **fields}, _added)

    def get_contact_way(self, *, config_id: str) -> ContactWay:
        """EC/get_contact_way. 41044: no such way (any more)."""
        return self._ask(
            "get_contact_way", {"config_id": config_id}, lambda answer: _way(pieces.part(answer, "contact_way"))
        )

    def list_contact_way(
        self, *, start_time: int | None = None, end_time: int | None = None, limit: int = 1000, cursor: str = ""
    ) -> ContactWayPage:
        """EC/list_contact_way: permanent ways made within the window (default: the last 90 days), ≤ 1000 a page.

        Ways made before 2021-07-10 and temporary ones are never listed. 50100: the cursor is no longer good.
        """
        given = {"start_time": start_time, "end_time": end_time, "cursor": cursor or None, "limit": limit}
        return self._ask("list_contact_way", given, _page)

    def update_contact_way(self, *, config_id: str, **changes: Any) -> Answer:
        """EC/update_contact_way: remark, skip_verify, style, state, user, party, mark_source …; `user` and `party` overwrite.

        type, scene, is_temp and is_exclusive cannot be changed. Raises ValueError for them: WeCom would take no notice.
        """
        fixed = {"type", "scene", "is_temp", "is_exclusive"} & changes.keys()
        if fixed:
            raise ValueError(f"a contact way keeps its {', '.join(sorted(fixed))}")
        return self._ask("update_contact_way", {"config_id": config_id, **changes}, dict)

    def del_contact_way(self, *, config_id: str) -> Answer:
        """EC/del_contact_way: printed codes lead nowhere from then on. 41044: gone already."""
        return self._ask("del_contact_way", {"config_id": config_id}, dict)

    def close_temp_chat(self, *, userid: str, external_userid: str) -> Answer:
        """EC/close_temp_chat: end a living temporary session; its conclusions are sent to the customer."""
        return self._ask("close_temp_chat", {"userid": userid, "external_userid": external_userid}, dict)


def _added(answer: Row) -> AddedContactWay:
    return AddedContactWay(pieces.needed(answer, "config_id"), text(answer, "qr_code"))


def _way(row: Row) -> ContactWay:
    return ContactWay(
        config_id=pieces.needed(row, "config_id"),
        type=integer(row, "type"),
        scene=integer(row, "scene"),
        style=integer(row, "style"),
        remark=text(row, "remark"),
        skip_verify=pieces.flag(row, "skip_verify", True),
        state=text(row, "state"),
        qr_code=text(row, "qr_code"),
        user=pieces.ids(row, "user"),
        party=pieces.integers(row, "party"),
        is_temp=pieces.flag(row, "is_temp", False),
        expires_in=integer(row, "expires_in"),
        chat_expires_in=integer(row, "chat_expires_in"),
        unionid=text(row, "unionid"),
        mark_source=pieces.told_flag(row, "mark_source"),
        conclusions=dict(pieces.part(row, "conclusions")),
    )


def _page(answer: Row) -> ContactWayPage:
    listed = tuple(ListedContactWay(pieces.needed(row, "config_id")) for row in pieces.rows(answer, "contact_way"))
    return ContactWayPage(listed, text(answer, "next_cursor"), pieces.told(answer, "contact_way"))
