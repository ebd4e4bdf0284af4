"""Why a person is in or out: every clause, pass or fail, and the fact used."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, Value, When
from django.utils.formats import localize
from django.utils.translation import gettext as _

from conditions import registry
from conditions.compiler import compile_leaf
from conditions.operators import ValueType
from conditions.people import people
from conditions.registry import Asker, Field
from conditions.render import leaf_in_words
from conditions.tree import Group, Leaf, Negation, Node, leaves, parse

_SHOWN_EVENTS = 8


@dataclass(frozen=True)
class Clause:
    """One line of an explanation. depth: its indentation. fact: what we know about the person, for leaves."""

    depth: int
    words: str
    holds: bool
    fact: str = ""


def explain(tree: dict[str, Any], root_id: int, now: datetime, asker: Asker) -> list[Clause]:
    """Every clause of a valid tree for one person, outermost first; facts as far as the asker may see them. One query for the truth,
    one per field for the facts."""
    node = parse(tree)
    found = list(leaves(node))
    truth = dict(zip((id(leaf) for leaf in found), _truth(found, root_id, now), strict=True))
    lines: list[Clause] = []
    facts = _Facts(root_id, asker)
    _walk(node, 0, truth, facts, lines)
    return lines


def _truth(found: list[Leaf], root_id: int, now: datetime) -> list[bool]:
    columns = {
        f"_leaf{index}": Case(
            When(compile_leaf(leaf, now), then=Value(True)), default=Value(False), output_field=BooleanField()
        )
        for index, leaf in enumerate(found)
    }
    row = people().filter(pk=root_id).annotate(**columns).values(*columns).first() if columns else {}
    return [bool((row or {}).get(name)) for name in columns]


def _walk(node: Node, depth: int, truth: dict[int, bool], facts: "_Facts", lines: list[Clause]) -> bool:
    if isinstance(node, Leaf):
        holds = truth[id(node)]
        lines.append(Clause(depth, leaf_in_words(node), holds, facts.of(node)))
        return holds
    place = len(lines)
    if isinstance(node, Negation):
        holds = not _walk(node.part, depth + 1, truth, facts, lines)
        lines.insert(place, Clause(depth, _("以下不成立"), holds))
        return holds
    assert isinstance(node, Group)
    results = [_walk(part, depth + 1, truth, facts, lines) for part in node.parts]
    words = {"all": _("全部满足"), "any": _("满足任一"), "at_least": _("至少满足 %(least)d 项") % {"least": node.least}}
    wanted = {"all": len(results), "any": 1, "at_least": node.least}[node.kind]
    holds = sum(results) >= wanted
    lines.insert(place, Clause(depth, words[node.kind], holds))
    return holds


class _Facts:
    """What is known of one person, each field read once."""

    def __init__(self, root_id: int, asker: Asker) -> None:
        self.root_id, self.asker = root_id, asker
        self.known: dict[str, str] = {}

    def of(self, leaf: Leaf) -> str:
        field = registry.get(leaf.field)
        if field.is_leaf_closed_to(leaf, self.asker):
            return _("您看不到这个字段的内容")
        if field.type == ValueType.SHARE:
            return _("客户编号 %(id)d") % {"id": self.root_id}
        if field.type == ValueType.SEQUENCE:  # of the kinds asked for only: others may not be hers to see
            events = field.read([self.root_id]).get(self.root_id) or []
            return _latest_in_words(field, [event for event in events if event[0] in leaf.value])
        if leaf.field not in self.known:
            self.known[leaf.field] = self._read(field)
        return self.known[leaf.field]

    def _read(self, field: Field) -> str:
        return _in_words(field, field.read([self.root_id]).get(self.root_id))


def _in_words(field: Field, known: Any) -> str:
    if known is None or known == "" or known == []:
        return _("没有记录")
    if field.show is not None:
        return field.show(known)
    names = {option.value: str(option.label) for option in field.options()} if field.options else {}
    if field.type == ValueType.SET:
        return "、".join(dict.fromkeys(names.get(value, str(value)) for value, _at in known))
    if field.type == ValueType.FACTS:
        latest = max(at for at, _amount in known)
        return _("共 %(count)d 次,最近 %(at)s") % {"count": len(known), "at": _when(latest)}
    if field.type == ValueType.FLAG:
        return _("是") if known else _("否")
    if field.type == ValueType.MOMENT:
        return _when(known)
    return names.get(known, "") or str(localize(known))


def _latest_in_words(field: Field, events: list[tuple[Any, datetime]]) -> str:
    """The last few, as they happened."""
    names = {option.value: str(option.label) for option in field.options()} if field.options else {}
    latest = sorted(events, key=lambda event: event[1])[-_SHOWN_EVENTS:]
    return "、".join(f"{names.get(kind, kind)} {_when(at)}" for kind, at in latest) or _("没有记录")


def _when(at: datetime) -> str:
    from conditions.windows import zone

    return at.astimezone(zone()).strftime("%Y-%m-%d %H:%M")
