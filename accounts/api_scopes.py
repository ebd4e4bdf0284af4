"""What an API token may do: `<resource>:read` and `<resource>:write`. Apps register their resources in AppConfig.ready()."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _

EVERYTHING = "*"
_resources: dict[str, str | Promise] = {}


def register(resource: str, label: str | Promise) -> None:
    """Add a resource. Raises ValueError when the name is taken by another label."""
    if _resources.get(resource, label) != label:
        raise ValueError(f"API resource {resource} is registered twice")
    _resources[resource] = label


def is_known(scope: str) -> bool:
    """Whether a token may carry the scope."""
    resource, _colon, verb = scope.partition(":")
    return scope == EVERYTHING or (resource in _resources and verb in ("read", "write"))


def choices() -> list[tuple[str, str]]:
    """(scope, label) for forms."""
    found = [(EVERYTHING, _("全部读写"))]
    for resource in sorted(_resources):
        found += [
            (f"{resource}:read", _("%(what)s:读取") % {"what": _resources[resource]}),
            (f"{resource}:write", _("%(what)s:写入") % {"what": _resources[resource]}),
        ]
    return found
