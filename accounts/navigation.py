"""Navigation entries. Apps register theirs in AppConfig.ready(); the shell shows what the user's permissions allow."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True)
class NavEntry:
    """One entry: `section` is a key of SECTIONS, `url_name` a route without arguments, `icon` a name of ui/icons.

    phone: shown in the guides' tab bar instead of the dashboard's side bar.
    """

    key: str
    label: str | Promise
    section: str
    url_name: str
    icon: str
    permission: str
    order: int = 100
    phone: bool = False


_entries: dict[str, NavEntry] = {}


def register(*entries: NavEntry) -> None:
    """Add entries. Raises ValueError when a key is taken by another."""
    for entry in entries:
        if _entries.get(entry.key, entry) != entry:
            raise ValueError(f"navigation entry {entry.key} is registered twice")
        _entries[entry.key] = entry


def entries_for(permissions: frozenset[str], *, phone: bool = False) -> list[NavEntry]:
    """The entries a holder of these permissions sees, in order."""
    visible = (entry for entry in _entries.values() if entry.permission in permissions and entry.phone == phone)
    return sorted(visible, key=lambda entry: (entry.order, entry.key))
