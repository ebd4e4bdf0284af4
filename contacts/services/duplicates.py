"""待合并: who may be one person, by a shared phone or unionid. Found as keys come and go, and by a search of everybody each night.

A key on two or three people proposes each pair of them. On more it is a shop's line, which is told once and proposes nobody.
What somebody refused is not proposed again by the same keys, whichever rows the two count as by then.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from accounts.models import User
from contacts import longjobs
from contacts.arrivals import NewKey
from contacts.models import Contact, ContactMerge, ContactPhone, Duplicate, Identity, SharedPhone
from contacts.services.merging import Merged
from contacts.timeline import roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows, update_rows
from scrm.lib.errors import Conflict
from tenants import audit, locks
from tenants.audit import SYSTEM, Actor
from tenants.context import current_tenant
from tenants.ledger.models import Job
from wecom_bridge.models import Corp

MOST = 3  # people that one phone may prove to be the same; a family's or a shop's number is on more
FIND = "contacts.find_duplicates"
LANE = "duplicates"
CHUNK = 5_000  # phones looked at in one transaction of the search
_HOUR = 3  # tenant time

Key = tuple[str, str]  # (phone or unionid, value)
Pair = tuple[int, int]
_State = Duplicate.State


def on_new_keys(keys: Sequence[NewKey]) -> None:
    """Listener of arrivals: phones and unionids appeared on people. Two queries where nobody else has them."""
    settle(_without_lines({(key.kind, key.value) for key in keys if key.kind in ("phone", Identity.Kind.UNIONID)}))


def on_lost_phones(phones: Mapping[str, set[int]]) -> None:
    """A guide took phones back: {phone: contacts that had it}."""
    keys = _without_lines({("phone", phone) for phone in phones})
    settle(keys, lost={contact_id for _kind, phone in keys for contact_id in phones[phone]})


def _without_lines(keys: set[Key]) -> set[Key]:
    """A shop's line may be on thousands: it is counted again each night, not at each of its people."""
    phones = {value for kind, value in keys if kind == "phone"}
    lines = set(SharedPhone.objects.filter(phone__any_of=phones).values_list("phone", flat=True)) if phones else set()
    return {(kind, value) for kind, value in keys if kind != "phone" or value not in lines}


def settle(keys: Collection[Key], *, lost: Collection[int] = ()) -> None:
    """Bring the proposals of these keys to what the rows say. lost: contacts that had one of them. Idempotent and set-based; inside the
    caller's transaction."""
    if not keys:
        return
    now = clock.now()
    holders = _holders(keys)
    _note_shared(keys, holders, now)
    many = {key: roots for key, roots in holders.items() if len(roots) > 1}
    people = set(roots_of(lost).values()).union(*many.values())
    if not people:
        return
    table = _Table.of(people)
    given = {_text(key) for key in keys}
    wanted: dict[Pair, set[str]] = defaultdict(set)
    for key, roots in many.items():
        if len(roots) <= MOST:
            for pair in combinations(sorted(roots), 2):
                wanted[pair].add(_text(key))
    table.apply(wanted, given, now)


def _text(key: Key) -> str:
    return f"{key[0]}:{key[1]}"


def _holders(keys: Collection[Key]) -> dict[Key, set[int]]:
    """Key → the people (roots) who carry it. Two queries at most."""
    found: dict[Key, set[int]] = defaultdict(set)
    phones = {value for kind, value in keys if kind == "phone"}
    if phones:
        rows = ContactPhone.objects.filter(phone__any_of=phones)
        for phone, contact_id, root_id in rows.values_list("phone", "contact_id", "contact__root_id"):
            found["phone", phone].add(root_id or contact_id)
    unions = {value for kind, value in keys if kind == Identity.Kind.UNIONID}
    scopes = _open_accounts() if unions else set()
    if len(scopes) > 1:  # within one open account a unionid is one row, and WeCom's word joins at once
        named = Identity.objects.filter(kind=Identity.Kind.UNIONID, scope__in=scopes, value__any_of=unions)
        for value, contact_id, root_id in named.values_list("value", "contact_id", "contact__root_id"):
            found[Identity.Kind.UNIONID, value].add(root_id or contact_id)
    return found


def _open_accounts() -> set[str]:
    return set(Corp.objects.exclude(open_account="").values_list("open_account", flat=True))


def _note_shared(keys: Collection[Key], holders: Mapping[Key, set[int]], now: datetime) -> None:
    """Phones on too many people, and those that are not any more."""
    counts = {value: len(holders.get((kind, value), ())) for kind, value in keys if kind == "phone"}
    known = dict(SharedPhone.objects.filter(phone__any_of=set(counts)).values_list("phone", "pk")) if counts else {}
    over = {phone: count for phone, count in counts.items() if count > MOST}
    gone = [pk for phone, pk in known.items() if phone not in over]
    if gone:
        SharedPhone.objects.filter(pk__in=gone).delete()
    update_rows(SharedPhone, [{"id": known[phone], "people": n} for phone, n in sorted(over.items()) if phone in known])
    fresh = [{"phone": phone, "people": n, "found_at": now} for phone, n in sorted(over.items()) if phone not in known]
    insert_rows(SharedPhone, fresh, ignore_conflicts=True)


@dataclass
class _Table:
    """The proposals that concern some people, and whom each contact of them counts as."""

    roots: dict[int, int] = field(default_factory=dict)
    rows: list[Duplicate] = field(default_factory=list)

    @classmethod
    def of(cls, people: Collection[int]) -> "_Table":
        """Three queries at most."""
        family = Contact.objects.filter(Q(pk__any_of=set(people)) | Q(root_id__any_of=set(people)))
        roots = {pk: root_id or pk for pk, root_id in family.values_list("pk", "root_id")}
        ids = set(roots)
        rows = list(Duplicate.objects.filter(Q(first_id__any_of=ids) | Q(second_id__any_of=ids)).order_by("pk"))
        others = {pk for row in rows for pk in (row.first_id, row.second_id)} - ids
        return cls(roots | roots_of(others), rows)

    def pair_of(self, row: Duplicate) -> Pair:
        """The people its two count as now; twice the same once they are one."""
        low, high = sorted((self.roots[row.first_id], self.roots[row.second_id]))
        return low, high

    def apply(self, wanted: Mapping[Pair, set[str]], given: set[str], now: datetime) -> None:
        """wanted: pair of people → those of the keys `given` that speak for it."""
        refused: dict[Pair, set[str]] = defaultdict(set)
        standing: dict[Pair, Duplicate] = {}
        for row in self.rows:
            pair = self.pair_of(row)
            refused[pair] |= set(row.refused_keys)
            if pair == (row.first_id, row.second_id):
                standing[pair] = row
        changed = [change for row in self.rows if (change := self._change(row, wanted, given, refused, now))]
        update_rows(Duplicate, changed)
        fresh = [
            {"first_id": pair[0], "second_id": pair[1], "keys": sorted(keys), "refused_keys": [], "state": _State.OPEN.value,
             "found_at": now, "decided_at": None, "decided_by_id": None}
            for pair in sorted(set(wanted) - set(standing))
            if (keys := wanted[pair] - refused[pair])
        ]  # fmt: skip
        insert_rows(Duplicate, fresh, ignore_conflicts=True)

    def _change(
        self, row: Duplicate, wanted: Mapping[Pair, set[str]], given: set[str], refused: Mapping[Pair, set[str]], now: datetime
    ) -> dict[str, object] | None:  # fmt: skip
        """The row's new columns, None where it stands."""
        pair = self.pair_of(row)
        is_current = pair == (row.first_id, row.second_id)
        if row.state == _State.MERGED or (not is_current and row.state != _State.OPEN):
            return None
        told = wanted.get(pair, set()) if is_current else set()
        before = set(row.keys) if row.state == _State.OPEN else set()
        keys = ((before - given) | told) - refused[pair] if is_current else set()
        if keys == before:
            return None
        if keys:
            since = row.found_at if row.state == _State.OPEN else now
            return _row(row, sorted(keys), _State.OPEN, since, None, None)
        return _row(row, row.keys, _State.LAPSED, row.found_at, now, None)


def _row(
    row: Duplicate, keys: Iterable[str], state: str, found_at: datetime, at: datetime | None, by: int | None
) -> dict[str, object]:
    return {"id": row.pk, "keys": list(keys), "refused_keys": row.refused_keys, "state": str(state), "found_at": found_at,
            "decided_at": at, "decided_by_id": by}  # fmt: skip


# --- Somebody decides ----------------------------------------------------------------------------------------------


@transaction.atomic
def refuse(rows: "Collection[Duplicate]", *, by: Actor) -> int:
    """不是同一人, for these proposals. Raises Conflict when one of them was decided since."""
    locks.lock_in_transaction("people")
    wanted = {row.pk for row in rows}
    found = list(Duplicate.objects.select_for_update(of=("self",)).filter(pk__in=wanted).order_by("pk"))
    for row in found:
        if row.state != _State.OPEN:
            raise Conflict(_moved_on(row))
    now, by_id = clock.now(), by.id if by.kind == "user" else None
    for row in found:
        row.refused_keys = sorted({*row.refused_keys, *row.keys})
        row.state, row.decided_at, row.decided_by_id = _State.REFUSED, now, by_id
        row.save(update_fields=["refused_keys", "state", "decided_at", "decided_by_id"])
        audit.record("duplicate.refused", row, by=by, first=row.first_id, second=row.second_id)
    return len(found)


@transaction.atomic
def reopen(row: Duplicate, *, by: Actor) -> None:
    """The refusal was a slip. Raises Conflict when it is none any more."""
    locks.lock_in_transaction("people")
    found = Duplicate.objects.select_for_update(of=("self",)).get(pk=row.pk)
    if found.state != _State.REFUSED:
        raise Conflict(_moved_on(found))
    keys = [key for key in found.refused_keys if key]
    found.refused_keys, found.state, found.decided_at, found.decided_by_id = [], _State.OPEN, None, None
    found.save(update_fields=["refused_keys", "state", "decided_at", "decided_by_id"])
    settle({_key(text) for text in keys}, lost=[found.first_id, found.second_id])
    audit.record("duplicate.reopened", found, by=by, first=found.first_id, second=found.second_id)


def _key(text: str) -> Key:
    kind, _colon, value = text.partition(":")
    return kind, value


def _moved_on(row: Duplicate) -> str:
    who = User.objects.filter(pk=row.decided_by_id).first() if row.decided_by_id else None
    text = _("这一对刚被 %(who)s 处理过,现在是「%(state)s」。请刷新页面再看。")
    return text % {"who": str(who or _("系统")), "state": row.get_state_display()}


# --- Merges and their undoing ---------------------------------------------------------------------------------------


def on_merged(merged: Merged) -> None:
    """Listener of merges: what was proposed of the two is done; what was proposed of one of them with others is of both now."""
    actor = ContactMerge.objects.filter(gone_id=merged.gone, undone_at__isnull=True).values_list("actor_id", flat=True)
    by_id = actor.first()
    family = _family([merged.kept])
    Duplicate.objects.filter(first_id__in=family, second_id__in=family).exclude(state=_State.MERGED).update(
        state=_State.MERGED, decided_at=merged.at, decided_by_id=by_id
    )
    settle(_keys_of(family), lost=family)


def on_undone(undone: Merged) -> None:
    """Listener of undoing: whoever took two apart said 不是同一人 to everything that they share."""
    merge = ContactMerge.objects.filter(kept_id=undone.kept, gone_id=undone.gone).order_by("-undone_at").first()
    by_id = merge.undone_by_id if merge else None
    kept, gone = _family([undone.kept]), _family([undone.gone])
    shared = sorted(_text(key) for key in _keys_of(kept) & _keys_of(gone))
    first, second = sorted((undone.kept, undone.gone))
    decided = {"state": _State.REFUSED, "decided_at": undone.at, "decided_by_id": by_id}
    row = Duplicate.objects.filter(first_id=first, second_id=second).first()
    if row is not None:
        row.refused_keys = sorted({*row.refused_keys, *row.keys, *shared})
        row.state, row.decided_at, row.decided_by_id = _State.REFUSED, undone.at, by_id
        row.save(update_fields=["refused_keys", "state", "decided_at", "decided_by_id"])
    elif shared:
        Duplicate.objects.create(
            first_id=first, second_id=second, keys=shared, refused_keys=shared, found_at=undone.at, **decided
        )
    # Pairs of other rows of the two families came apart with them.
    between = Q(first_id__in=kept, second_id__in=gone) | Q(first_id__in=gone, second_id__in=kept)
    Duplicate.objects.filter(between, state=_State.MERGED).update(
        state=_State.LAPSED, decided_at=undone.at, decided_by_id=by_id
    )
    both = kept | gone
    settle(_keys_of(both), lost=both)


def _family(roots: Iterable[int]) -> set[int]:
    wanted = set(roots)
    return set(Contact.objects.filter(Q(pk__in=wanted) | Q(root_id__in=wanted)).values_list("pk", flat=True))


def _keys_of(contact_ids: Collection[int]) -> set[Key]:
    phones = ContactPhone.objects.filter(contact_id__in=contact_ids).values_list("phone", flat=True)
    unions = Identity.objects.filter(contact_id__in=contact_ids, kind=Identity.Kind.UNIONID)
    return {("phone", phone) for phone in phones} | {
        (Identity.Kind.UNIONID.value, value) for value in unions.values_list("value", flat=True)
    }


# --- The search of everybody ----------------------------------------------------------------------------------------


@transaction.atomic
def start_search(*, by: Actor) -> Job:
    """Look through every phone and unionid again, in steps. The job under way, where one is."""
    locks.lock_in_transaction(FIND)
    running = Job.objects.filter(kind=FIND, state__in=[Job.State.QUEUED, Job.State.RUNNING]).order_by("pk").first()
    if running is not None:
        return running
    if by.kind == "user":
        audit.record("duplicates.searched", by=by)
    total = ContactPhone.objects.count()
    return longjobs.start(FIND, _("查找重复客户"), params={}, by=by, total=total)


def find_step(job: Job, deadline: datetime) -> bool:
    """Phones in order, then unionids, then the open proposals once more; each chunk commits with its place."""
    phases = {"phones": _next_phones, "unionids": _next_unionids, "proposals": _next_proposals}
    order = list(phases)
    while clock.wall() < deadline:
        phase, after = job.result.get("phase", order[0]), job.result.get("after", "")
        with transaction.atomic():
            locks.lock_in_transaction("people")
            following, seen = phases[phase](after)
            job.done += seen if phase == "phones" else 0
            if following is None:
                place = order.index(phase) + 1
                if place == len(order):
                    job.result = {}
                    return True
                phase, following = order[place], ""
            job.result = {**job.result, "phase": phase, "after": following}
            job.save(update_fields=["done", "result"])
    return False


def _next_phones(after: str) -> tuple[str | None, int]:
    """(the last phone looked at, how many rows); None at the end."""
    rows = list(ContactPhone.objects.filter(phone__gt=after).order_by("phone").values_list("phone", flat=True)[:CHUNK])
    if not rows:
        return None, 0
    span = ContactPhone.objects.filter(phone__gt=after, phone__lte=rows[-1])
    repeated = span.values("phone").annotate(people=Count("contact", distinct=True)).filter(people__gt=1)
    settle({("phone", phone) for phone in repeated.values_list("phone", flat=True)})
    return rows[-1], span.count()


def _next_unionids(after: str) -> tuple[str | None, int]:
    scopes = _open_accounts()
    if len(scopes) < 2:
        return None, 0
    mine = Identity.objects.filter(kind=Identity.Kind.UNIONID, scope=min(scopes), value__gt=after)
    values = list(mine.order_by("value").values_list("value", flat=True)[:CHUNK])
    settle({(Identity.Kind.UNIONID.value, value) for value in values})
    return (values[-1] if values else None), len(values)


def _next_proposals(after: str) -> tuple[str | None, int]:
    """Proposals whose ground went without a word (a row deleted) lapse; lines on fewer people now are none."""
    rows = list(Duplicate.objects.filter(state=_State.OPEN, pk__gt=int(after or 0)).order_by("pk")[:1000])
    if not after:
        settle({("phone", phone) for phone in SharedPhone.objects.values_list("phone", flat=True)})
    if not rows:
        return None, 0
    settle(
        {_key(text) for row in rows for text in row.keys}, lost={pk for r in rows for pk in (r.first_id, r.second_id)}
    )
    return str(rows[-1].pk), len(rows)


def drain(_deadline: datetime) -> bool:
    """The lane: one search each night, since first syncs read people side by side and do not see each other's."""
    if not Job.objects.filter(kind=FIND, created_at__gte=_tonight(clock.now()) - timedelta(days=1)).exists():
        start_search(by=SYSTEM)
    return False


def next_due() -> datetime:
    """Tonight's hour."""
    return _tonight(clock.now())


def _tonight(now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(current_tenant().time_zone))
    hour = local.replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    return hour if hour > local else hour + timedelta(days=1)
