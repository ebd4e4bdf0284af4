"""Group join ways (加入群聊), as WeCom answers for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AddedJoinWay:
    """The answer names no qr_code: get_join_way does."""

    config_id: str


@dataclass(frozen=True)
class JoinWay:
    """A way as it stands. scene 1 mini-program, 2 QR code; auto_create_room 1: another group is opened when all are full.

    mark_source is None where WeCom does not tell.
    """

    config_id: str
    scene: int = 0
    remark: str = ""
    auto_create_room: int = 0
    room_base_name: str = ""
    room_base_id: int = 0
    chat_id_list: tuple[str, ...] = ()
    qr_code: str = ""
    state: str = ""
    mark_source: bool | None = None


@dataclass(frozen=True)
class OpenedGroup:
    """The group a mini-program was opened in."""

    chat_id: str
