"""The rules in force, and what they decide for one call or one event."""

from dataclasses import dataclass, fields

from simulator.api.scripts import Script
from simulator.chaos.recipes import rules_of
from simulator.chaos.rules import CALLBACKS, Rule

GIVEN = {row.name for row in fields(Rule)} - {"id", "seen", "struck", "executed"}


@dataclass
class Fate:
    """What becomes of an event: `copies` 0 when lost; it waits for `seconds`, or until `behind` later ones passed."""

    copies: int = 1
    seconds: float = 0.0
    behind: int = 0
    patience: float = 0.0


class ChaosBook:
    """Every rule looks at all it aims at, also when another one struck: removing one changes no other's decisions."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._made = 0

    def add(self, spec: dict) -> Rule:
        """Put a rule in force. Raises ValueError."""
        unknown = set(spec) - GIVEN
        if unknown:
            raise ValueError(f"unknown in a rule: {', '.join(sorted(unknown))}")
        try:
            rule = Rule(**spec)
        except TypeError as error:
            raise ValueError(f"a rule is {{target, kind, rate, seed, …}}: {error}") from error
        self._made += 1
        rule.id = self._made
        self.rules.append(rule)
        return rule

    def add_recipe(self, name: str, seed: int = 0, corp_id: str = "") -> list[Rule]:
        """Put a recipe's rules in force. Raises ValueError for an unknown name."""
        return [self.add(spec) for spec in rules_of(name, seed, corp_id)]

    def remove(self, rule_id: int) -> bool:
        """Take a rule out of force; False when there is none of that id."""
        before = len(self.rules)
        self.rules = [rule for rule in self.rules if rule.id != rule_id]
        return len(self.rules) < before

    def clear(self) -> None:
        """No rules any more; ids begin anew."""
        self.rules.clear()
        self._made = 0

    def call(self, path: str, corp_id: str) -> tuple[Rule, Script] | None:
        """The first rule that strikes this call and what the call meets, or None."""
        rules = [rule for rule in self.rules if rule.aims_at(path, corp_id) and rule.looks()]
        if not rules:
            return None
        rules[0].struck += 1
        return rules[0], rules[0].fault()

    def event(self, corp_id: str) -> Fate:
        """What becomes of one event of the corp; the rules add up, but what is lost is nothing else."""
        rules = [rule for rule in self.rules if rule.aims_at(CALLBACKS, corp_id) and rule.looks()]
        lost = [rule for rule in rules if rule.kind == "drop"][:1]
        fate = Fate(copies=0 if lost else 1)
        for rule in lost or rules:
            rule.struck += 1
            if rule.kind == "double":
                fate.copies *= 2
            elif rule.kind == "delay":
                fate.seconds += rule.seconds or 0.0
            elif rule.kind == "reorder":
                fate.behind, fate.patience = max(fate.behind, rule.places()), max(fate.patience, rule.seconds or 0.0)
        return fate

    def shown(self) -> list[dict]:
        """Every rule with its counters."""
        return [rule.shown() for rule in self.rules]
