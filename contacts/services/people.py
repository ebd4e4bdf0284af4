"""The people of a batch: whose contact each external_userid is, found by identity, joined by unionid, or made."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q

from contacts import arrivals, marks
from contacts.arrivals import NewKey
from contacts.models import Contact, Follow, Identity
from contacts.services.merging import merge_roots
from contacts.timeline import roots_of
from scrm.lib.db.bulk import clean_text, insert_rows, update_rows
from wecom_bridge.contracts import Contended, ExternalContactInfo
from wecom_bridge.models import PLAIN, Corp


class Known(NamedTuple):
    """A person as resolved: her external_userid's identity and the contact it hangs on."""

    identity_id: int
    contact_id: int
    is_new: bool


def resolve_people(
    corp: Corp,
    people: Mapping[str, ExternalContactInfo],
    *,
    now: datetime,
    backfill: bool = False,
    initial: Mapping[str, Mapping[str, Any]] | None = None,
    strangers_only: bool = False,
) -> dict[str, Known]:
    """external_userid → Known, for every person given; contacts and identities are made where missing.

    initial: further columns of contacts that are made, by external_userid, the same ones for all of them.
    strangers_only: raises Contended when any of them is known.

    A unionid that another contact already has joins the person to it: at her first appearance directly, later by a merge
    of roots. A constant number of statements, plus some per merge. The caller holds the people lock.
    """
    if not people:
        return {}
    found = _identities(corp, people)
    if found and strangers_only:
        raise Contended
    wanted = {external: _keys(corp, info) for external, info in people.items()}
    fresh, joins = _place(wanted, found)
    created = _make_contacts({external: people[external] for external in fresh}, now, initial or {})
    # Two new ids of one person in the same batch share the contact made for the first.
    homes = {external: joins.get(external) or created.get(external) for external in people}
    by_union = {
        wanted[external][-1]: contact_id for external, contact_id in created.items() if len(wanted[external]) > 1
    }
    for external, keys in wanted.items():
        if homes[external] is None:
            homes[external] = by_union[keys[-1]]
    missing = {key: homes[external] for external, keys in sorted(wanted.items()) for key in keys if key not in found}
    rows = [
        {
            "kind": kind,
            "scope": scope,
            "value": value,
            "id_space": _space(corp, kind),
            "contact_id": contact_id,
            "created_at": now,
        }
        for (kind, scope, value), contact_id in missing.items()
    ]
    # Without ignoring conflicts: under the lock there is none, and beside another writer it must not pass unseen.
    written = insert_rows(Identity, rows, returning=("id", "kind", "scope", "value", "contact_id"))
    found |= {(kind, scope, value): (pk, contact_id) for pk, kind, scope, value, contact_id in written}
    if pairs := _disagreements(wanted, found):
        merge_roots(pairs, now=now)
    arrivals.tell([NewKey(kind, value, contact_id) for _pk, kind, _scope, value, contact_id in written])
    new = set(created.values())
    marks.mark(new, marks.EVERYTHING, backfill=backfill)
    return {external: Known(*found[keys[0]], is_new=found[keys[0]][1] in new) for external, keys in wanted.items()}


Key = tuple[str, str, str]


def _space(corp: Corp, kind: str) -> str:
    """Whose ids: a provider sees external_userids of its own; a unionid is the open-platform account's."""
    return corp.id_space if kind == Identity.Kind.EXTERNAL_USERID else PLAIN


def _keys(corp: Corp, info: ExternalContactInfo) -> list[Key]:
    """Her external_userid first, then her unionid where the corp returns one."""
    keys: list[Key] = [(Identity.Kind.EXTERNAL_USERID.value, corp.corp_id, info.external_userid)]
    if info.unionid and corp.open_account:
        keys.append((Identity.Kind.UNIONID.value, corp.open_account, info.unionid))
    return keys


def _identities(corp: Corp, people: Mapping[str, ExternalContactInfo]) -> dict[Key, tuple[int, int]]:
    """The identities that exist: key → (id, contact)."""
    external = Identity.Kind.EXTERNAL_USERID
    condition = Q(kind=external, scope=corp.corp_id, id_space=_space(corp, external), value__any_of=set(people))
    unions = {info.unionid for info in people.values() if info.unionid}
    if unions and corp.open_account:
        condition |= Q(kind=Identity.Kind.UNIONID, scope=corp.open_account, value__any_of=unions)
    rows = Identity.objects.filter(condition).values_list("kind", "scope", "value", "pk", "contact_id")
    return {(kind, scope, value): (pk, contact_id) for kind, scope, value, pk, contact_id in rows}


def _place(wanted: Mapping[str, list[Key]], found: Mapping[Key, tuple[int, int]]) -> tuple[list[str], dict[str, int]]:
    """(external_userids that need a new contact, external_userid → existing contact)."""
    fresh: list[str] = []
    joins: dict[str, int] = {}
    unions: set[Key] = set()
    for external, keys in sorted(wanted.items()):
        known = next((found[key][1] for key in keys if key in found), None)
        if known is not None:
            joins[external] = known
        elif len(keys) == 1 or keys[1] not in unions:
            unions.update(keys[1:])
            fresh.append(external)
    return fresh, joins


def _make_contacts(
    people: Mapping[str, ExternalContactInfo], now: datetime, initial: Mapping[str, Mapping[str, Any]]
) -> dict[str, int]:
    blank = {"search_text": "", "active_follows": 0, "first_added_at": None, "last_added_at": None, "owner_id": None,
             "store_id": None, "custom": {}, "opt_out_source": "", "created_at": now, "updated_at": now}  # fmt: skip
    rows = [{**detail_values(info), **blank, **initial.get(external, {})} for external, info in people.items()]
    return dict(zip(people, (pk for (pk,) in insert_rows(Contact, rows)), strict=True))


def detail_values(info: ExternalContactInfo) -> dict[str, Any]:
    return {
        "name": clean_text(info.name, 128),
        "avatar_url": clean_text(info.avatar_url, 500),
        "gender": info.gender if info.gender in (1, 2) else 0,
        "kind": info.kind if info.kind in (1, 2) else 1,
        "corp_name": clean_text(info.corp_name, 128),
    }


def _disagreements(wanted: Mapping[str, list[Key]], found: Mapping[Key, tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of contacts that WeCom now says are one person."""
    pairs = {(found[keys[0]][1], found[keys[1]][1]) for keys in wanted.values() if len(keys) > 1 and keys[1] in found}
    return sorted(pair for pair in pairs if pair[0] != pair[1])


def refresh_details(
    people: Mapping[str, ExternalContactInfo], known: Mapping[str, Known], *, now: datetime, read_at: datetime
) -> set[int]:
    """Write changed names, avatars, genders of contacts that existed; the contacts whose name changed. Who was read again since
    read_at (a sync writes hours after it began) keeps what was read then."""
    pending = {known[external].contact_id: info for external, info in people.items() if not known[external].is_new}
    newer = Follow.objects.filter(contact_id__any_of=set(pending), synced_at__gt=read_at)
    for contact_id in set(newer.values_list("contact_id", flat=True)):
        del pending[contact_id]
    columns = ("name", "avatar_url", "gender", "kind", "corp_name")
    rows, renamed, regendered = [], set(), set()
    for contact in Contact.objects.filter(pk__any_of=set(pending)).only("pk", *columns):
        details = detail_values(pending[contact.pk])
        if all(getattr(contact, column) == value for column, value in details.items()):
            continue
        rows.append({"id": contact.pk, **details, "updated_at": now})
        if contact.name != details["name"]:
            renamed.add(contact.pk)
        if contact.gender != details["gender"]:
            regendered.add(contact.pk)
    update_rows(Contact, rows)
    _mark_roots(renamed, "contact.name")
    _mark_roots(regendered, "contact.gender")
    return renamed


def _mark_roots(contact_ids: Iterable[int], *field_keys: str) -> None:
    marks.mark(roots_of(contact_ids).values(), *field_keys)
