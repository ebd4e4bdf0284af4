"""预打标签: tags for people by phone or unionid, put on when they become somebody's friend, or at once where they are.

A phone that two people have tags nobody and is listed. Each is put on once: whoever loses the tag later does not get it again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from contacts import longjobs
from contacts.arrivals import NewKey
from contacts.models import Contact, ContactPhone, FactSource, Identity, ImportRun
from contacts.queries import family_of
from contacts.timeline import Fact, roots_of
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tagging.models import FollowTag, PreTag, Tag, TagGroup
from tagging.queries import follows_to_mark
from tagging.services.marks import kept_tag, mark_tags
from tagging.sources import Source
from tenants import audit, locks
from tenants.audit import SYSTEM, Actor
from tenants.ledger.models import Job

State = PreTag.State
OPEN = (State.WAITING, State.CLASH)
VIA = "pretag:"
AGAIN = "tagging.pretags_again"  # a job
PART = 1_000  # so many are matched again at once
Key = tuple[str, str]  # kind, value


def on_new_keys(keys: Sequence[NewKey]) -> None:
    """Listener of arrivals: a phone or unionid appeared on somebody. One query where nothing waits."""
    told = {(key.kind, key.value) for key in keys if key.kind in ("phone", "unionid")}
    if told and open_ones(clock.now()).exists():
        apply(told)


def on_added(facts: Sequence[Fact]) -> None:
    """Listener of the timeline: somebody we know was added. A first sync tells of phones and unionids by itself."""
    added = {
        fact.contact_id
        for fact in facts
        if fact.kind == "follow.added" and fact.source != FactSource.BACKFILL and fact.contact_id
    }
    if not added or not open_ones(clock.now()).exists():
        return
    family = set(family_of(roots_of(added).values()))
    phones = ContactPhone.objects.filter(contact_id__any_of=family).values_list("phone", flat=True)
    unions = Identity.objects.filter(contact_id__any_of=family, kind="unionid").values_list("value", flat=True)
    apply({("phone", phone) for phone in phones} | {("unionid", value) for value in unions})


def open_ones(now: datetime) -> QuerySet[PreTag]:
    """Those that still wait for somebody."""
    return PreTag.objects.filter(state__in=OPEN, expires_at__gt=now)


def apply(keys: Collection[Key]) -> int:
    """Put on what waits for these keys, on whoever is a friend by now; how many. A constant number of queries for each set of tags."""
    now = clock.now()
    waiting = open_ones(now).filter(value__any_of={value for _kind, value in keys})
    rows = [row for row in waiting.select_for_update(of=("self",)).order_by("pk") if (row.kind, row.value) in keys]
    if not rows:
        return 0
    holders = _holders({(row.kind, row.value) for row in rows})
    follows = follows_to_mark(sorted({pk for roots in holders.values() for pk in roots}), "owner")
    tags, unmade = _live({pk for row in rows for pk in row.tag_ids})
    wishes: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for row in rows:
        people = holders.get((row.kind, row.value), set())
        wanted = tuple(sorted({tags[pk] for pk in row.tag_ids if pk in tags}))
        if len(people) > 1:
            row.state = State.CLASH
        elif unmade.intersection(row.tag_ids):
            continue  # until WeCom has made it
        elif not wanted:
            row.state = State.VOID
        elif hers := [pk for one in people for pk in follows.get(one, [])]:
            row.state, row.contact_id, row.consumed_at = State.APPLIED, min(people), now
            wishes[row.import_id, wanted] += hers
    PreTag.objects.bulk_update(rows, ["state", "contact", "consumed_at"], batch_size=500)
    for (import_id, wanted), follow_ids in wishes.items():
        mark_tags(follow_ids, add=wanted, origin=FollowTag.Origin.IMPORT, by=SYSTEM, via=f"{VIA}{import_id}")
    return sum(row.state == State.APPLIED for row in rows)


def _holders(keys: Collection[Key]) -> Mapping[Key, set[int]]:
    """Key → the people (roots) who have it."""
    found: dict[Key, set[int]] = defaultdict(set)
    phones = ContactPhone.objects.filter(phone__any_of={value for kind, value in keys if kind == "phone"})
    unions = Identity.objects.filter(kind="unionid", value__any_of={value for kind, value in keys if kind == "unionid"})
    pairs = [(("phone", phone), pk) for phone, pk in phones.values_list("phone", "contact_id")]
    pairs += [(("unionid", value), pk) for value, pk in unions.values_list("value", "contact_id")]
    roots = roots_of({pk for _key, pk in pairs})
    alive = set(Contact.objects.filter(pk__in=set(roots.values()), erased_at__isnull=True).values_list("pk", flat=True))
    for key, pk in pairs:
        if roots[pk] in alive:
            found[key].add(roots[pk])
    return found


def _live(tag_ids: Iterable[int]) -> tuple[dict[int, int], set[int]]:
    """Tag → the tag that is put: what it was merged into; those that are gone are left out. And those on their way to WeCom."""
    found: dict[int, int] = {}
    unmade: set[int] = set()
    for tag in Tag.objects.filter(pk__in=set(tag_ids)).select_related("group"):
        kept = kept_tag(tag)
        is_made = kept.group.kind == TagGroup.Kind.INTERNAL or kept.wecom_tag_id
        if kept.deleted_at is not None or kept.group.deleted_at is not None:
            continue
        if is_made:
            found[tag.pk] = kept.pk
        else:
            unmade.add(tag.pk)
    return found, unmade


@transaction.atomic
def try_again(*, by: Actor) -> int | None:
    """Match what is open with the people of now; how many were put on. None: more than PART are open, and a job goes through all of
    them. Raises Conflict while one does."""
    locks.lock_in_transaction(AGAIN)
    if Job.objects.filter(kind=AGAIN, state__in=[Job.State.QUEUED, Job.State.RUNNING]).exists():
        raise Conflict(_("正在再匹配,请等它做完。"))
    waiting = open_ones(clock.now()).count()
    if waiting > PART:
        job = longjobs.start(AGAIN, _("再匹配预打标签"), params={}, by=by, total=waiting)
        audit.record("pretags.tried_again", by=by, job=job.pk)
        return None
    count, _ids = _match_part(0)
    audit.record("pretags.tried_again", by=by, count=count)
    return count


def again_step(job: Job, deadline: datetime) -> bool:
    """The next parts, in the order of ids: what nobody can be given holds up nothing behind it. True at the end."""
    while clock.wall() < deadline:
        with transaction.atomic():
            count, ids = _match_part(int(job.result.get("after", 0)))
            if not ids:
                return True
            job.done += len(ids)
            job.result = {**job.result, "after": ids[-1], "count": int(job.result.get("count", 0)) + count}
            job.save(update_fields=["done", "result"])
    return False


def last_again() -> Job | None:
    """The job of matching again that was asked for last."""
    return Job.objects.filter(kind=AGAIN).order_by("-pk").first()


def _match_part(after: int) -> tuple[int, list[int]]:
    """How many were put on of the next PART behind an id, and the ids of these."""
    rows = list(open_ones(clock.now()).filter(pk__gt=after).order_by("pk").values_list("pk", "kind", "value")[:PART])
    return apply({(kind, value) for _pk, kind, value in rows}), [pk for pk, _kind, _value in rows]


@transaction.atomic
def stop(import_id: int, *, by: Actor) -> int:
    """What of a file still waits is not put on any more; how many."""
    count, _by_model = PreTag.objects.filter(import_id=import_id, state__in=OPEN).delete()
    audit.record("pretags.stopped", by=by, file=import_id, count=count)
    return count


def sources_of(ids: Collection[int]) -> Mapping[int, Source]:
    """What the files are called on a tag they put on."""
    words = _("预打标签「%(name)s」")
    rows = ImportRun.objects.filter(pk__in=ids).values_list("pk", "file_name")
    return {pk: Source(words % {"name": name}, reverse("contacts:import", args=[pk])) for pk, name in rows}
