"""What the simulated world knows, and what we have of it."""

from typing import Any

from tests.e2e.stack import Stack


def truth(stack: Stack) -> list[dict[str, Any]]:
    """Every customer of the simulated world."""
    found: list[dict[str, Any]] = []
    while True:
        page = stack.wecom.ask("customers", offset=len(found), limit=200)
        found += page["customers"]
        if len(found) >= page["total"]:
            return found


def relations(stack: Stack) -> set[tuple[str, str]]:
    """Our living relations."""
    rows = stack.rows(
        "SELECT i.value, m.userid FROM contacts_follow f JOIN contacts_identity i ON i.id = f.identity_id"
        " JOIN contacts_member m ON m.id = f.member_id WHERE f.relation = 'active'"
    )
    return {(row["value"], row["userid"]) for row in rows}
