"""Group join ways (加入群聊; reference 5.2) and opengids (5.1). WeCom's own parameter names in; may raise CallError."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes import pieces
from wecom_bridge.shapes.join_ways import AddedJoinWay, JoinWay, OpenedGroup
from wecom_bridge.shapes.pieces import Row, integer, text

Answer = dict[str, Any]


class JoinWays(Core):
    """Codes of groups; they count against the 500,000 contact ways of the corp (41045)."""

    def add_join_way(self, *, scene: int, chat_id_list: list[str], **fields: Any) -> AddedJoinWay:
        """EC/groupchat/add_join_way. scene 1 mini-program, 2 QR code; ≤ 5 groups (41091). Answers the config_id alone.

        fields: remark (cut at 30 characters), auto_create_room (default 1: when all are full another group is opened), named
        room_base_name (≤ 40 characters) and a number from room_base_id on, state (≤ 30 characters), mark_source.
        WeCom has no call that lists join ways: after a lost answer nobody can find out whether there is one, and a way made
        in vain stays behind and counts. A person decides whether to make another.
        """
        given = {"scene": scene, "chat_id_list": chat_id_list, **fields}
        return self._ask("groupchat/add_join_way", given, lambda row: AddedJoinWay(pieces.needed(row, "config_id")))

    def get_join_way(self, *, config_id: str) -> JoinWay:
        """EC/groupchat/get_join_way, which alone names the qr_code. 41044: no such way (any more)."""
        return self._ask(
            "groupchat/get_join_way", {"config_id": config_id}, lambda answer: _way(pieces.part(answer, "join_way"))
        )

    def update_join_way(self, *, config_id: str, scene: int, chat_id_list: list[str], **fields: Any) -> Answer:
        """EC/groupchat/update_join_way: everything is overwritten; a field left out falls back to its default."""
        given = {"config_id": config_id, "scene": scene, "chat_id_list": chat_id_list, **fields}
        return self._ask("groupchat/update_join_way", given, dict)

    def del_join_way(self, *, config_id: str) -> Answer:
        """EC/groupchat/del_join_way: printed codes lead nowhere from then on. 41044: gone already."""
        return self._ask("groupchat/del_join_way", {"config_id": config_id}, dict)

    def opengid_to_chatid(self, *, opengid: str) -> OpenedGroup:
        """EC/opengid_to_chatid: the group of wx.getGroupEnterInfo. 90509 not a customer group of the corp, 90511 bad opengid."""
        return self._ask(
            "opengid_to_chatid", {"opengid": opengid}, lambda row: OpenedGroup(pieces.needed(row, "chat_id"))
        )


def _way(row: Row) -> JoinWay:
    return JoinWay(
        config_id=pieces.needed(row, "config_id"),
        scene=integer(row, "scene"),
        remark=text(row, "remark"),
        auto_create_room=integer(row, "auto_create_room"),
        room_base_name=text(row, "room_base_name"),
        room_base_id=integer(row, "room_base_id"),
        chat_id_list=pieces.ids(row, "chat_id_list"),
        qr_code=text(row, "qr_code"),
        state=text(row, "state"),
        mark_source=pieces.told_flag(row, "mark_source"),
    )
