"""Interception rules (敏感词)."""

from dataclasses import dataclass, field

from simulator.world.ids import digest_text


@dataclass
class InterceptRule:
    """A rule; `semantics` 1 phone, 2 email, 3 red packet; `kind` 1 warns and blocks, 2 only warns."""

    rule_id: str
    rule_name: str
    create_time: int
    kind: int
    by: str
    words: list[str] = field(default_factory=list)
    semantics: list[int] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    departments: list[int] = field(default_factory=list)
    deleted: bool = False


class InterceptBook:
    """All rules of a corp; deleted ones stay known."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.rows: dict[str, InterceptRule] = {}

    def add(self, name: str, kind: int, now: int, by: str) -> InterceptRule:
        """A new rule without words and range yet."""
        rule_id = digest_text(self._key, "intercept", len(self.rows), length=24)
        row = self.rows[rule_id] = InterceptRule(rule_id, name, now, kind, by)
        return row

    def living(self) -> list[InterceptRule]:
        """Rules in force, oldest first."""
        return [row for row in self.rows.values() if not row.deleted]
