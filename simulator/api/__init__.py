"""WeCom's server API, one module per noun; importing this package fills the registry."""

from simulator.api import (
    acquisition,
    contacts,
    contactways,
    customers,
    groups,
    joinways,
    masses,
    media,
    messages,
    platform,
    tags,
    welcome,
)
from simulator.api.registry import ENDPOINTS

__all__ = [
    "ENDPOINTS",
    "acquisition",
    "contacts",
    "contactways",
    "customers",
    "groups",
    "joinways",
    "masses",
    "media",
    "messages",
    "platform",
    "tags",
    "welcome",
]
