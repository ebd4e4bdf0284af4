"""Whether a lost add_contact_way made a way: walk what the corp made in the window, and look for the state we gave."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from scrm.lib import clock
from wecom_bridge.contracts import Settled, WeComReader
from wecom_bridge.gateway.errors import CallError

GONE = 41044
PAGE = 1000
CALLS_MOST = 200
# A list may lag behind what was just made: absence counts only this long after the call (an assumption, as for mass messages).
LISTED_WITHIN = timedelta(minutes=2)


class _UnreadError(Exception):
    """As many calls as allowed were made, or a page came without its list."""


class _Asking:
    """A reader with a bounded number of calls."""

    def __init__(self, reader: WeComReader, most: int) -> None:
        self._reader, self._left = reader, most

    def pages(self, start: int, end: int) -> Iterator[list[str]]:
        """config_ids made within the window, a page at a time."""
        cursor = ""
        while True:
            answer = self._call(
                "list_contact_way", start_time=start, end_time=end, limit=PAGE, **({"cursor": cursor} if cursor else {})
            )
            if not answer["is_told"]:
                raise _UnreadError
            yield [row["config_id"] for row in answer["contact_way"]]
            cursor = answer["next_cursor"]
            if not cursor:
                return

    def way(self, config_id: str) -> dict | None:
        """The way, None when it is gone since."""
        try:
            return self._call("get_contact_way", config_id=config_id)
        except CallError as error:
            if error.errcode == GONE:
                return None
            raise

    def _call(self, method: str, **asked: object) -> dict:
        if self._left == 0:
            raise _UnreadError
        self._left -= 1
        return self._reader.call(method, **asked)


def settle_add_contact_way(
    reader: WeComReader,
    *,
    state: str,
    start: datetime,
    end: datetime,
    sent_at: datetime,
    known: Collection[str] = (),
    calls_most: int = CALLS_MOST,
) -> Settled | None:
    """Whether a permanent way with our unique `state` was made within the window (domain time), by at most `calls_most` calls.

    done: with the config_id and qr_code the lost answer would have held. not done: the whole window was read without it, two
    minutes or more after `sent_at` (wall time) of the lost call. None: unknown still, because something could not be read, there
    was too much to read, or it is too early to tell. known: config_ids our rows have already; they are not asked about.

    Raises CallError (held) while WeCom takes no calls at all, and ValueError without a state: any way without one would fit.
    """
    if not state:
        raise ValueError("without a state of its own a contact way cannot be told from others")
    try:
        found = _find(_Asking(reader, calls_most), state, int(start.timestamp()), int(end.timestamp()), known)
    except CallError as error:
        if error.held:
            raise
        return None
    except _UnreadError:
        return None
    if found is not None:
        return Settled(done=True, result={"config_id": found["config_id"], "qr_code": found["qr_code"]})
    if clock.wall() - sent_at < LISTED_WITHIN:
        return None
    return Settled(done=False, message="WeCom lists no contact way with this state")


def _find(asking: _Asking, state: str, start: int, end: int, known: Collection[str]) -> dict | None:
    for page in asking.pages(start, end):
        for config_id in page:
            way = asking.way(config_id) if config_id not in known else None
            if way is not None and way["state"] == state:
                return way
    return None
