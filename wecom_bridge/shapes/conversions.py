"""One id in several eyes."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Converted:
    """found: the id asked for → the other one; invalid: those WeCom names as not convertible. An id may be in neither."""

    found: Mapping[str, str]
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Owner:
    """Whom a temporary id stands for: a customer, or a member of a corp."""

    external_userid: str = ""
    corpid: str = ""
    userid: str = ""


@dataclass(frozen=True)
class TemporaryConverted:
    found: Mapping[str, Owner]
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownByUnionid:
    """external_userid of a customer, or pending_id (90 days) of somebody who is none yet."""

    external_userid: str = ""
    pending_id: str = ""


@dataclass(frozen=True)
class Openid:
    openid: str


@dataclass(frozen=True)
class ExternalUserid:
    external_userid: str
