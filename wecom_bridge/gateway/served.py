"""Everybody from outside who was served (customer-contact reference 1)."""

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes.pieces import Row, flag, rows, seconds, text
from wecom_bridge.shapes.served import ServedContact, ServedPage


class Served(Core):
    """contact_list."""

    def contact_list(self, *, cursor: str = "", limit: int = 1000) -> ServedPage:
        """EC/contact_list: relations and seats in groups, at most 1,000 a page; 50100: begin again (1)."""
        return self._ask("contact_list", {"cursor": cursor, "limit": limit}, read_page)


def read_page(answer: Row) -> ServedPage:
    return ServedPage(tuple(_contact(row) for row in rows(answer, "info_list")), text(answer, "next_cursor"))


def _contact(row: Row) -> ServedContact:
    names = ("tmp_openid", "external_userid", "follow_userid", "chat_id", "name", "chat_name")
    return ServedContact(
        is_customer=flag(row, "is_customer"),
        add_time=seconds(row, "add_time"),
        **{name: text(row, name) for name in names},
    )
