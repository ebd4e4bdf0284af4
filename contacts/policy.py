"""What a merchant decided about whose customer somebody is. Kept under `contacts` of the tenant's policy."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tenants.context import current_tenant

EXPORTS_MOST = 1_000_000
FIRST, LATEST, STORE = "first", "latest", "store"
RULES: dict[str, str | Promise] = {
    FIRST: _("最早添加的导购"),
    LATEST: _("最近添加的导购"),
    STORE: _("门店优先:先定门店,再归那家店的导购"),
}
# By store: which of her stores. Without a purchase, the store of her first adding.
BASES: dict[str, str | Promise] = {
    "added_first": _("首次添加时的门店"),
    "added_last": _("最近添加时的门店"),
    "bought_first": _("首次购买的门店"),
    "bought_last": _("最近购买的门店"),
}


@dataclass(frozen=True)
class OwnerRule:
    """业绩归属 by default: kind is a key of RULES; basis, a key of BASES, is asked by STORE alone."""

    kind: str = FIRST
    basis: str = "added_first"

    @property
    def reads_purchases(self) -> bool:
        return self.kind == STORE and self.basis.startswith("bought")


@dataclass(frozen=True)
class PeoplePolicy:
    """Product rules with their defaults; a tenant's own values win."""

    owner_rule: OwnerRule = OwnerRule()
    # 撞单: whether the guides and their manager are told by app message. It is listed in any case.
    tells_clashes: bool = True
    # Rows of files that one person may ask for on a tenant day without contacts.export_many.
    exports_a_day: int = 5000


def people_policy() -> PeoplePolicy:
    """The policy of the tenant in scope. Unreadable values keep the default."""
    own = current_tenant().policy.get("contacts") or {}
    kind, basis = own.get("owner_rule"), own.get("owner_basis")
    rule = OwnerRule(kind if kind in RULES else FIRST, basis if basis in BASES else "added_first")
    tells = own.get("tells_clashes")
    most = own.get("exports_a_day")
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= EXPORTS_MOST:
        most = PeoplePolicy.exports_a_day
    return PeoplePolicy(rule, tells if isinstance(tells, bool) else True, most)
