"""WeCom's server API, one module per noun; importing this package fills the registry."""

from simulator.api import contacts, customers, groups, masses, media, messages, platform, tags, welcome
from simulator.api.registry import ENDPOINTS

__all__ = ["ENDPOINTS", "contacts", "customers", "groups", "masses", "media", "messages", "platform", "tags", "welcome"]
