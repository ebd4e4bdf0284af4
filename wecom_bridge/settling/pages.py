"""Reading a list to its end, or not at all."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from wecom_bridge.contracts import WeComReader

PAGES_AT_MOST = 20
SLACK = timedelta(minutes=10)  # between our clock and WeCom's


def read_all(reader: WeComReader, method: str, field: str, **asked: Any) -> list[Mapping[str, Any]] | None:
    """Every row of a paged list; None when it does not end within PAGES_AT_MOST, or a page came without its list: what is not in
    such an answer may exist all the same. Raises CallError.
    """
    found: list[Mapping[str, Any]] = []
    cursor = ""
    for _page in range(PAGES_AT_MOST):
        answer = reader.call(method, **asked, **({"cursor": cursor} if cursor else {}))
        if not answer["is_told"]:
            return None
        found += answer[field]
        cursor = answer.get("next_cursor") or ""
        if not cursor:
            return found
    return None
