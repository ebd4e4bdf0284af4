"""What a decrypted callback says: its fields, which entity it makes dirty, and on which lane it goes.

The XML is WeCom's, but it is parsed as if it were not: no DTD, no entities, no depth, bounded sizes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.parsers import expat

from scrm.lib import clock
from wecom_bridge import contracts
from wecom_bridge.callbacks.envelope import Refused

MAX_DEPTH = 6
MAX_ELEMENTS = 5_000
MAX_ENTITY = 130
# WeCom began in 2016, and its clock is not a day ahead of ours. A CreateTime outside would date facts for ever.
EARLIEST = datetime(2016, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
# Possessive throughout: the body is not verified yet, and blanks that three neighbours could share took cubic time.
_ENVELOPE = re.compile(rb"<Encrypt>\s*+(?:<!\[CDATA\[)?+([A-Za-z0-9+/=\s]*+)(?:\]\]>)?+\s*+</Encrypt>")


@dataclass(frozen=True)
class Event:
    """A callback understood. lane: welcome, inbound, or empty for what nobody handles; entity: what is dirty, within the corp,
    or (`e:`) whom an event is about that makes nothing dirty and that an app wants to hear of."""

    event: str
    change_type: str
    occurred_at: datetime
    lane: str
    entity: str
    fields: Mapping[str, str]


class _Reader:
    """Collects leaves by name; deeper ones as `Parent/Name`, the Items of a list joined by commas under the list's name."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.text: list[str] = []
        self.fields: dict[str, str] = {}
        self.count = 0
        self.is_leaf = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.path.append(name)
        self.count += 1
        self.text, self.is_leaf = [], True
        if len(self.path) > MAX_DEPTH or self.count > MAX_ELEMENTS:
            raise Refused(400, "XML too deep or too large")

    def data(self, text: str) -> None:
        self.text.append(text)

    def end(self, name: str) -> None:
        if self.is_leaf and len(self.path) > 1:
            key = "/".join(self.path[1:-1] if name == "Item" and len(self.path) > 2 else self.path[1:])
            value = "".join(self.text).strip().replace("\x00", "")
            self.fields[key] = f"{self.fields[key]},{value}" if key in self.fields else value
        self.is_leaf = False
        self.path.pop()

    def doctype(self, *args: object) -> None:
        raise Refused(400, "a DTD in the XML")


class _Choices(_Reader):
    """Collects what was chosen on a card: question → ids, which the flat fields would run together.

    WeCom's older documents spell the ids OpitonIds/OpitonId, the present ones OptionIds/OptionId: both are read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.items: list[tuple[str, list[str]]] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        super().start(name, attributes)
        if name == "SelectedItem":
            self.items.append(("", []))

    def end(self, name: str) -> None:
        if self.items and "SelectedItem" in self.path and self.is_leaf:
            value = "".join(self.text).strip().replace("\x00", "")
            ids = self.items[-1][1]
            if name == "QuestionKey":
                self.items[-1] = (value, ids)
            elif name in ("OptionId", "OpitonId") and value:
                ids.append(value)
        super().end(name)


def read_choices(xml: bytes) -> dict[str, tuple[str, ...]]:
    """What was chosen on a template card: question_key → option ids, in WeCom's order. Raises Refused(400) for what is no XML."""
    reader = _Choices()
    _parse(xml, reader)
    found: dict[str, tuple[str, ...]] = {}
    for question, ids in reader.items:
        found[question] = found.get(question, ()) + tuple(ids)
    return found


def read_fields(xml: bytes) -> dict[str, str]:
    """The leaves of a flat XML document. Raises Refused(400) for anything that is not one."""
    reader = _Reader()
    _parse(xml, reader)
    return reader.fields


def _parse(xml: bytes, reader: _Reader) -> None:
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.buffer_text = True
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError):
        raise Refused(400, "not XML") from None


def encrypted_part(body: bytes) -> str:
    """The Encrypt element of an envelope, wherever it stands. Raises Refused(400) when there is none."""
    found = _ENVELOPE.search(body)
    if found:
        return re.sub(rb"\s", b"", found.group(1)).decode()
    encrypted = read_fields(body).get("Encrypt")
    if not encrypted:
        raise Refused(400, "no Encrypt element")
    return encrypted


def understand(plain: bytes, now: datetime) -> Event:
    """The event of a decrypted body. Raises Refused(400) when it is not XML or not an event of a corp.

    occurred_at is CreateTime, or `now` (domain) where that is missing or absurd.
    """
    fields = read_fields(plain)
    event = fields.get("Event", "")[:48]
    change = fields.get("ChangeType", "")[:48]
    if not event and not fields.get("MsgType"):
        raise Refused(400, "no event")
    aim = _AIMS.get(event)
    entity = aim(fields, change) if aim else ""
    if not entity and contracts.event_handlers_for(event or fields["MsgType"][:48], change):
        entity = _notice(event, fields)
    if len(entity) > MAX_ENTITY:
        entity = ""
    lane = "" if not entity else "welcome" if fields.get("WelcomeCode") else "inbound"
    return Event(event or fields["MsgType"][:48], change, _created(fields, now), lane, entity, fields)


def _created(fields: Mapping[str, str], now: datetime) -> datetime:
    try:
        created = clock.from_unix(fields["CreateTime"])
    except (KeyError, ValueError, OverflowError, OSError):
        return now
    return created if EARLIEST <= created <= now + AHEAD else now


def _person(fields: Mapping[str, str], change: str) -> str:
    external_userid = fields.get("ExternalUserID", "")
    return f"p:{external_userid}" if external_userid and fields.get("UserID") else ""


def _group(fields: Mapping[str, str], change: str) -> str:
    return f"g:{fields['ChatId']}" if fields.get("ChatId") else ""


def _tags(fields: Mapping[str, str], change: str) -> str:
    """All tag events make one entity dirty: the whole list is one call."""
    return "" if fields.get("StrategyId") else "t:all"


def _directory(fields: Mapping[str, str], change: str) -> str:
    if change.endswith("_user"):
        return f"m:{fields['UserID']}" if fields.get("UserID") else ""
    return "d:all" if change.endswith("_party") else ""


def _subscriber(fields: Mapping[str, str], change: str) -> str:
    """A member came into the app's visible range (reference C): until now nothing of her could be read."""
    return f"m:{fields['FromUserName']}" if fields.get("FromUserName") else ""


def _notice(event: str, fields: Mapping[str, str]) -> str:
    """Whom an event is about that makes nothing dirty: its events are handled in order, others' beside them."""
    about = [fields.get(name) for name in ("ExternalUserID", "ChatKey", "JobId")]
    about += [fields.get("FromUserName") if fields.get("FromUserName") != "sys" else "", fields.get("LinkId"), event]
    return f"e:{next((one for one in about if one), 'all')}"


_AIMS: dict[str, Callable[[Mapping[str, str], str], str]] = {
    "change_external_contact": _person,
    "change_external_chat": _group,
    "change_external_tag": _tags,
    "change_contact": _directory,
    "subscribe": _subscriber,
}

AIMED = frozenset(_AIMS)  # events that make something dirty
