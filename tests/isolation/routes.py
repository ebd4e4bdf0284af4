"""Every route of both hosts, from the resolver, so that none is forgotten."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, get_resolver

TENANT, PLATFORM = "scrm.urls", "scrm.urls_public"


@dataclass(frozen=True)
class Route:
    """One named route. permission: what @requires says (None: any log-in); public_reason: why anybody may come."""

    host: str
    name: str
    pattern: str
    arguments: frozenset[str]
    view: Any

    @property
    def is_api(self) -> bool:
        return hasattr(self.view, "cls")

    @property
    def public_reason(self) -> str:
        return str(getattr(self._source, "public_reason", "") or "")

    @property
    def says_who(self) -> bool:
        """Whether the view itself states who may come in."""
        return bool(self.public_reason) or hasattr(self._source, "required_permission") or self.scope != ""

    @property
    def permission(self) -> str | None:
        return getattr(self._source, "required_permission", None)

    @property
    def scope(self) -> str:
        return str(getattr(self._source, "required_scope", "") or "") if self.is_api else ""

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods of an API view; pages are asked (get, then post)."""
        if not self.is_api:
            return ("get", "post")
        known = getattr(self.view, "actions", None) or {}
        names = known or [name for name in ("get", "post", "put", "patch", "delete") if hasattr(self.view.cls, name)]
        return tuple(name for name in names if name != "head")

    @property
    def _source(self) -> Any:
        return self.view.cls if self.is_api else self.view


def all_routes(host: str) -> list[Route]:
    """The routes of scrm.urls or scrm.urls_public. API routes with a format suffix are the same view and left out."""
    return [route for route in _walk(host, get_resolver(host), "", "") if "format" not in route.arguments]


def _walk(host: str, resolver: Any, prefix: str, namespace: str) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            name = f"{namespace}{entry.name}" if entry.name else ""
            arguments = frozenset(entry.pattern.regex.groupindex) | frozenset(resolver.pattern.regex.groupindex)
            yield Route(host, name, pattern, arguments, entry.callback)
        else:
            yield from _walk(host, entry, pattern, f"{namespace}{entry.namespace}:" if entry.namespace else namespace)
