"""What a merchant decided about rules. Kept under `tagging` of the tenant's policy."""

from tenants.context import current_tenant

RUNS_A_DAY, MOST_RUNS_A_DAY = 3, 100


def runs_a_day() -> int:
    """How often within 24 hours a rule acts on one person, where the rule itself says nothing."""
    own = (current_tenant().policy.get("tagging") or {}).get("runs_a_day")
    return own if type(own) is int and 1 <= own <= MOST_RUNS_A_DAY else RUNS_A_DAY
