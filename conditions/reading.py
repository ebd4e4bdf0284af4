"""What a tree reads: decides which marks concern it."""

from typing import Any

from conditions import registry
from conditions.tree import leaves, parse


def field_keys(tree: dict[str, Any]) -> set[str]:
    """The dirty keys whose marks may change the tree's answer. Fields nobody registers read nothing."""
    found: set[str] = set()
    for leaf in leaves(parse(tree)):
        field = registry.find(leaf.field)
        if field is not None:
            found |= field.keys_for(leaf)
    return found


def values_read(tree: dict[str, Any], field_key: str) -> set[Any]:
    """The option values that leaves of one field name: which tags, which segments."""
    found: set[Any] = set()
    for leaf in leaves(parse(tree)):
        if leaf.field == field_key and isinstance(leaf.value, list):
            found |= set(leaf.value)
    return found


def reads_field(tree: dict[str, Any], key: str) -> bool:
    """Whether a leaf names the field."""
    return any(leaf.field == key for leaf in leaves(parse(tree)))
