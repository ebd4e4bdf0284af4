"""Customer acquisition links (获客助手) and their quota, as WeCom answers for them. Instants are Unix seconds, 0 for none."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LinkPage:
    """A page of list_link; an empty next_cursor is the last."""

    link_id_list: tuple[str, ...] = ()
    next_cursor: str = ""


@dataclass(frozen=True)
class CreatedLink:
    link_id: str
    link_name: str = ""
    url: str = ""
    create_time: int = 0


@dataclass(frozen=True)
class LinkRange:
    """Members and departments a link leads to."""

    user_list: tuple[str, ...] = ()
    department_list: tuple[int, ...] = ()


@dataclass(frozen=True)
class PriorityOption:
    """priority_type 1: a friend anywhere in the corp goes first, 2: among priority_userid_list, 0: no preference."""

    priority_type: int = 0
    priority_userid_list: tuple[str, ...] = ()


@dataclass(frozen=True)
class AcquisitionLink:
    """A link as it stands; link_id is the one asked for. mark_source is None where WeCom does not tell."""

    link_id: str
    link_name: str = ""
    url: str = ""
    create_time: int = 0
    skip_verify: bool = True
    mark_source: bool | None = None
    range: LinkRange = field(default_factory=LinkRange)
    priority_option: PriorityOption = field(default_factory=PriorityOption)


@dataclass(frozen=True)
class LinkCustomer:
    """chat_status: 0 no message yet, 1 she wrote, 2 unknown. state: her customer_channel."""

    external_userid: str
    userid: str
    chat_status: int = 2
    state: str = ""


@dataclass(frozen=True)
class LinkCustomerPage:
    customer_list: tuple[LinkCustomer, ...] = ()
    next_cursor: str = ""


@dataclass(frozen=True)
class LinkStatistic:
    click_link_customer_cnt: int
    new_customer_cnt: int


@dataclass(frozen=True)
class ChatCounts:
    recv_msg_cnt: int = 0
    link_id: str = ""
    state: str = ""


@dataclass(frozen=True)
class ChatInfo:
    """Who is behind a ChatKey."""

    userid: str
    external_userid: str
    chat_info: ChatCounts = field(default_factory=ChatCounts)


@dataclass(frozen=True)
class QuotaPart:
    """What is left of a purchase, and when it ends."""

    expire_date: int
    balance: int


@dataclass(frozen=True)
class AcquisitionQuota:
    """total: everything ever had; balance: what is left."""

    total: int
    balance: int
    quota_list: tuple[QuotaPart, ...] = ()


@dataclass(frozen=True)
class AcquisitionPermit:
    """Whom the assistant may be used for."""

    user_list: tuple[str, ...] = ()
    department_list: tuple[int, ...] = ()
    tag_list: tuple[int, ...] = ()
