"""Customer acquisition links (获客助手; reference 4). WeCom's own parameter names in; every method may raise CallError.

Called with the app's secret alone (48002 otherwise); the app sees the links it made itself.
"""

from typing import Any

from wecom_bridge.gateway.core import CUSTOMER_CONTACT, Core
from wecom_bridge.shapes import acquisition as shapes
from wecom_bridge.shapes import pieces
from wecom_bridge.shapes.pieces import Row, integer, text

API = "customer_acquisition"
Answer = dict[str, Any]


class Acquisition(Core):
    """Links, whom they brought, and the quota they use up."""

    def list_acquisition_links(self, *, limit: int = 100, cursor: str = "") -> shapes.LinkPage:
        """customer_acquisition/list_link: ids, ≤ 100 a page."""
        return self._ask(f"{API}/list_link", {"limit": limit, "cursor": cursor or None}, _links)

    def get_acquisition_link(self, *, link_id: str) -> shapes.AcquisitionLink:
        """customer_acquisition/get: name, address, range and preference of one link."""
        return self._ask(f"{API}/get", {"link_id": link_id}, lambda answer: _link(link_id, answer))

    def create_acquisition_link(self, *, link_name: str, range: dict[str, Any], **fields: Any) -> shapes.CreatedLink:
        """customer_acquisition/create_link. range: user_list and department_list, together 1–500; too many links: 41095.

        fields: skip_verify (default true), mark_source, priority_option (some industries only) {priority_type 1 or 2,
        priority_userid_list ≤ 1000, for 2}. To tell channels apart append customer_channel (≤ 64 bytes) to the url; it comes
        back as state. A lost answer: list_acquisition_links and get_acquisition_link by a unique link_name.
        """
        return self._ask(f"{API}/create_link", {"link_name": link_name, "range": range, **fields}, _created)

    def update_acquisition_link(self, *, link_id: str, **changes: Any) -> Answer:
        """customer_acquisition/update_link: what is given of link_name, range (overwrites), skip_verify, priority_option, mark_source."""
        return self._ask(f"{API}/update_link", {"link_id": link_id, **changes}, dict)

    def delete_acquisition_link(self, *, link_id: str) -> Answer:
        """customer_acquisition/delete_link: it leads nowhere from then on; no callback follows."""
        return self._ask(f"{API}/delete_link", {"link_id": link_id}, dict)

    def list_acquisition_customers(
        self, *, link_id: str, limit: int = 1000, cursor: str = ""
    ) -> shapes.LinkCustomerPage:
        """customer_acquisition/customer: whom the link brought, ≤ 1000 a page; chat_status 0 silent, 1 wrote, 2 unknown."""
        return self._ask(f"{API}/customer", {"link_id": link_id, "limit": limit, "cursor": cursor or None}, _customers)

    def get_acquisition_statistic(self, *, link_id: str, start_time: int, end_time: int) -> shapes.LinkStatistic:
        """customer_acquisition/statistic: clicks and adds on whole days, both ends included, ≤ 30 days, of the last 180."""
        given = {"link_id": link_id, "start_time": start_time, "end_time": end_time}
        return self._ask(f"{API}/statistic", given, _statistic)

    def get_acquisition_chat(self, *, chat_key: str) -> shapes.ChatInfo:
        """customer_acquisition/get_chat_info: who is behind the ChatKey of message_from_customer, within 30 minutes."""
        return self._ask(f"{API}/get_chat_info", {"chat_key": chat_key}, _chat)

    def get_acquisition_quota(self) -> shapes.AcquisitionQuota:
        """customer_acquisition_quota: what was ever had, what is left, and by when the parts end."""
        return self._fetch(f"{API}_quota", _quota, under=CUSTOMER_CONTACT)

    def get_acquisition_permit(self) -> shapes.AcquisitionPermit:
        """customer_acquisition_app/get_permit: whom the assistant may be used for."""
        return self._fetch(f"{API}_app/get_permit", _permit, under=CUSTOMER_CONTACT)


def _links(answer: Row) -> shapes.LinkPage:
    return shapes.LinkPage(pieces.ids(answer, "link_id_list"), text(answer, "next_cursor"))


def _link(link_id: str, answer: Row) -> shapes.AcquisitionLink:
    row, reach, option = (pieces.part(answer, name) for name in ("link", "range", "priority_option"))
    return shapes.AcquisitionLink(
        link_id=link_id,
        link_name=text(row, "link_name"),
        url=pieces.needed(row, "url"),
        create_time=pieces.seconds(row, "create_time"),
        skip_verify=pieces.flag(row, "skip_verify", True),
        mark_source=pieces.told_flag(row, "mark_source"),
        range=shapes.LinkRange(pieces.ids(reach, "user_list"), pieces.integers(reach, "department_list")),
        priority_option=shapes.PriorityOption(
            integer(option, "priority_type"), pieces.ids(option, "priority_userid_list")
        ),
    )


def _created(answer: Row) -> shapes.CreatedLink:
    row = pieces.part(answer, "link")
    created = pieces.seconds(row, "create_time")
    return shapes.CreatedLink(pieces.needed(row, "link_id"), text(row, "link_name"), pieces.needed(row, "url"), created)


def _customers(answer: Row) -> shapes.LinkCustomerPage:
    rows = tuple(
        shapes.LinkCustomer(
            external_userid=pieces.needed(row, "external_userid"),
            userid=pieces.needed(row, "userid"),
            chat_status=integer(row, "chat_status", 2),
            state=text(row, "state"),
        )
        for row in pieces.rows(answer, "customer_list")
    )
    return shapes.LinkCustomerPage(rows, text(answer, "next_cursor"))


def _statistic(answer: Row) -> shapes.LinkStatistic:
    names = ("click_link_customer_cnt", "new_customer_cnt")
    return shapes.LinkStatistic(*(pieces.needed_integer(answer, name) for name in names))


def _chat(answer: Row) -> shapes.ChatInfo:
    info = pieces.part(answer, "chat_info")
    counts = shapes.ChatCounts(integer(info, "recv_msg_cnt"), text(info, "link_id"), text(info, "state"))
    return shapes.ChatInfo(pieces.needed(answer, "userid"), pieces.needed(answer, "external_userid"), counts)


def _quota(answer: Row) -> shapes.AcquisitionQuota:
    parts = tuple(
        shapes.QuotaPart(pieces.seconds(row, "expire_date"), pieces.needed_integer(row, "balance"))
        for row in pieces.rows(answer, "quota_list")
    )
    return shapes.AcquisitionQuota(
        pieces.needed_integer(answer, "total"), pieces.needed_integer(answer, "balance"), parts
    )


def _permit(answer: Row) -> shapes.AcquisitionPermit:
    return shapes.AcquisitionPermit(
        pieces.ids(answer, "user_list"),
        pieces.integers(answer, "department_list"),
        pieces.integers(answer, "tag_list"),
    )
