"""Rules that belong together, by name. `seed` is added to each rule's own place, so that no two draw alike."""

RECIPES: dict[str, tuple[dict, ...]] = {
    # callbacks as WeCom's own staff describe them on a bad day: some lost, some twice, none in order
    "bad_week": (
        {"target": "callbacks", "kind": "drop", "rate": 0.05},
        {"target": "callbacks", "kind": "double", "rate": 0.05},
        {"target": "callbacks", "kind": "reorder", "rate": 1.0, "behind": 12, "seconds": 3},
    ),
    # an API that mostly works; of the answers that get lost, half belong to calls that took effect
    "bad_network": (
        {"target": "*", "kind": "-1", "rate": 0.03},
        {"target": "externalcontact/mark_tag", "kind": "45033", "rate": 0.05},
        {"target": "externalcontact/*", "kind": "42001", "rate": 0.005},
        {"target": "*", "kind": "close", "rate": 0.02, "execute": 0.5},
        {"target": "*", "kind": "half", "rate": 0.01},
        {"target": "*", "kind": "slow", "rate": 0.02, "seconds": 2},
    ),
    # limits: frequency everywhere, and now and then an address that is not trusted any more
    "busy_day": (
        {"target": "externalcontact/*", "kind": "45009", "rate": 0.05},
        {"target": "externalcontact/mark_tag", "kind": "45033", "rate": 0.2},
        {"target": "*", "kind": "60020", "rate": 0.005},
        {"target": "*", "kind": "timeout", "rate": 0.005, "seconds": 20, "execute": 0.5},
    ),
}


def rules_of(name: str, seed: int, corp_id: str) -> list[dict]:
    """The recipe's rules, each with a seed of its own. Raises ValueError for an unknown name."""
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; known: {', '.join(sorted(RECIPES))}")
    return [row | {"seed": seed * 1000 + place, "corp_id": corp_id} for place, row in enumerate(RECIPES[name])]
