"""What names a tag: rules, segments, stages, SOPs, broadcasts. Apps above add theirs:

tag_readers.register("sops", find)       # every reader of the app now in use, with the tags it names
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = ("tag", "tag.owner")


@dataclass(frozen=True)
class Reader:
    """kind: rule, segment, stage, sop, broadcast; text: what an operator calls it (规则「…」); url: where it is changed; tags: ids of
    those it names."""

    kind: str
    text: str
    url: str
    tags: frozenset[int]


Find = Callable[[], Iterable[Reader]]
_finders: dict[str, Find] = {}


def register(name: str, find: Find) -> None:
    """Add an app's readers. Registering a name again replaces it."""
    _finders[name] = find


def all_readers() -> list[Reader]:
    """Everything in use that names a tag."""
    return [reader for find in _finders.values() for reader in find() if reader.tags]


def readers_of(tag_ids: Collection[int]) -> list[Reader]:
    """Those that name one of the tags."""
    wanted = set(tag_ids)
    return [reader for reader in all_readers() if reader.tags & wanted]


# What one must hold to be told a reader's name. A SOP and a broadcast have a scope: theirs for those who see all.
SEEN_WITH = {
    "rule": "rules.view", "segment": "segments.view", "stage": "stages.edit", "sop": "sops.view", "broadcast": "broadcasts.view",
    "pretag": "tags.edit",
}  # fmt: skip
SCOPED = ("sop", "broadcast", "pretag")


def told(
    readers: Iterable[Reader], permissions: Collection[str], sees_all: Callable[[str], bool]
) -> tuple[list[Reader], int]:
    """Those whose names may be known with some permissions, and how many others there are. sees_all: whether a permission is held
    for everybody."""
    readers = list(readers)
    open_to = {
        kind for kind, code in SEEN_WITH.items() if code in permissions and (kind not in SCOPED or sees_all(code))
    }
    shown = [reader for reader in readers if reader.kind in open_to]
    return shown, len(readers) - len(shown)


def tags_named(node: Any) -> frozenset[int]:
    """Ids of the tags that leaves of a tree name. Walks the JSON itself: the tree may no longer be valid."""
    if isinstance(node, list):
        return frozenset().union(*map(tags_named, node))
    if not isinstance(node, dict):
        return frozenset()
    own = node.get("value") if node.get("field") in FIELDS else None
    found = {item for item in own if isinstance(item, int)} if isinstance(own, list) else set()
    return frozenset(found).union(*(tags_named(part) for key, part in node.items() if key != "value"))


def groups_named(node: Any) -> frozenset[int]:
    """Ids of the tag groups that leaves of a tree are narrowed by."""
    if isinstance(node, list):
        return frozenset().union(*map(groups_named, node))
    if not isinstance(node, dict):
        return frozenset()
    where = node.get("where") if node.get("field") in FIELDS else None
    own = where.get("group") if isinstance(where, dict) else None
    found = {item for item in own if isinstance(item, int)} if isinstance(own, list) else set()
    return frozenset(found).union(*(groups_named(part) for part in node.values()))


def with_tags_replaced(node: Any, instead: Mapping[int, int]) -> Any:
    """The tree with some tags named instead of others; one named twice then is named once."""
    if isinstance(node, list):
        return [with_tags_replaced(part, instead) for part in node]
    if not isinstance(node, dict):
        return node
    changed = {key: part if key == "value" else with_tags_replaced(part, instead) for key, part in node.items()}
    if node.get("field") in FIELDS and isinstance(node.get("value"), list):
        changed["value"] = list(dict.fromkeys(instead.get(item, item) for item in node["value"]))
    return changed
