"""What a tree is asked for: the instant, and how SQL is to find people."""

from dataclasses import dataclass
from dataclasses import field as member
from datetime import datetime

from conditions import registry
from conditions.operators import Operator
from conditions.registry import Field
from conditions.tree import Leaf


@dataclass(frozen=True)
class Ask:
    """now: the domain instant. as_of: what happened after it is not known yet. sweep: the whole table is asked, not a few people.
    alone: none of the people asked has branches."""

    now: datetime
    as_of: bool = False
    sweep: bool = False
    alone: bool = False
    known: dict[str, Field | None] = member(default_factory=dict, compare=False, repr=False)

    def field(self, key: str) -> Field | None:
        """The field of a key; one that the tenant's data define is looked up once."""
        if key not in self.known:
            self.known[key] = registry.find(key)
        return self.known[key]

    def operator(self, leaf: Leaf) -> Operator | None:
        """What a leaf asks of its field; None when nobody registers that any more."""
        field = self.field(leaf.field)
        return field.operator(leaf.op) if field else None
