"""A batch of people, from WeCom's words to our facts, in the order in which things depend on each other."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from contacts import arrivals
from contacts.models import EndedBy, FactSource, Follow, Identity, Member, Relation
from contacts.services import firstsight
from contacts.services.follows import SEND_RESULT, PairFacts, PairKey, apply_pairs, pair_digest
from contacts.services.members import ensure_members
from contacts.services.people import Known, refresh_details, resolve_people
from contacts.services.periods import SAME_ADDING, End
from contacts.services.phones import sync_remark_mobiles
from contacts.services.search import refresh_search
from contacts.services.standing import refresh_standing
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from tenants import locks
from wecom_bridge.callbacks.told import latest_adds
from wecom_bridge.contracts import EventFact, PeopleBatch, PersonRow, RemovalsBatch
from wecom_bridge.models import Corp

TRANSFER = "DELETE_BY_TRANSFER"


def apply_people(batch: PeopleBatch) -> None:
    """Contacts, identities, follows, periods, phones, ownership, search text and timeline of a batch. Raises Contended.

    Idempotent; a constant number of statements. A customer who deleted her guide still appears in every read of the guide's
    list: only a newer createtime, or an add event after the deletion, makes them friends again. A half-add is no relation until the add.
    """
    lock_people(shared=batch.alongside)
    now = clock.now()
    people = {row.person.external_userid: row.person for row in batch.rows}
    facts = _facts(batch.rows, batch.events)
    for pair in batch.gone:
        _note_gone(facts, pair, batch)
    with arrivals.held():
        columns = _first_columns(batch)
        known = resolve_people(
            batch.corp,
            people,
            now=now,
            backfill=batch.source == "backfill",
            initial=columns,
            strangers_only=batch.alongside,
        )
        settled = firstsight.settle(known, columns)
        firstsight.note_owners(settled, columns)
        renamed = refresh_details(people, known, now=now, read_at=batch.read_at)
        done = frozenset(one.contact_id for one in settled.values())
        _apply(batch.corp, batch.source, batch.read_at, facts, known, renamed, now, done)


def _first_columns(batch: PeopleBatch) -> dict[str, dict[str, Any]]:
    """Of a first sync, where nothing but the follows themselves is told; else the general way does all."""
    if batch.source != "backfill" or batch.events or batch.gone:
        return {}
    members = ensure_members(batch.corp, {info.userid for row in batch.rows for info in row.follows})
    unions = Counter(row.person.unionid for row in batch.rows if row.person.unionid)
    alone = [row for row in batch.rows if unions[row.person.unionid] <= 1]  # others may turn out to be one person
    return firstsight.initial_columns(alone, members)


def apply_lost_follows(batch: RemovalsBatch) -> None:
    """Follows that a complete, validated read did not show: ended by nobody knows whom, when they were open."""
    lock_people()
    facts: dict[PairKey, PairFacts] = defaultdict(PairFacts)
    for pair in batch.follows:
        facts[pair].ends.append(End(batch.read_at, EndedBy.UNKNOWN.value))
    if facts:
        _apply(batch.corp, batch.source, batch.read_at, facts, {}, set(), clock.now())


def apply_not_friends(corp: Corp, told: Mapping[PairKey, datetime]) -> None:
    """A mass message found that these are no friends any more: (external_userid, userid) → when the guide sent it.

    WeCom goes on listing a guide whom the customer deleted, so that this and the callback are all that tells (pains 1.6), and no
    sight since then speaks against it. An adding does: she who was added at or after the sending is not spoken of, even where WeCom
    kept the old createtime and only the add event tells. Call it inside a transaction that holds no lock which handlers of people take.
    """
    lock_people()
    facts: dict[PairKey, PairFacts] = {
        pair: PairFacts(ends=[End(at, EndedBy.CUSTOMER.value)], proof=SEND_RESULT) for pair, at in told.items()
    }
    if facts:
        begun = _open_pairs(corp, facts)
        adds = latest_adds(corp, {external for external, _userid in begun}, min(told.values())) if begun else {}
        facts = {
            pair: one
            for pair, one in facts.items()
            if pair in begun and max(begun[pair], adds.get(pair, begun[pair])) < one.ends[0].at
        }
        _apply(corp, FactSource.RECONCILE.value, clock.now(), facts, {}, set(), clock.now())


def note_transferred(corp: Corp, giver: str, told: Sequence[tuple[str, str, datetime]]) -> None:
    """transfer_result says that these went from the giver: (external_userid, the taker's userid, when). For what no callback told.

    A taker who was her friend before, or had given her away and has her back, gets no add event (customer-contact reference 9):
    there the relation we know begins again. A relation nobody knew is left to its own add event, or to the next full read.
    The caller holds the lock of people.
    """
    facts: dict[PairKey, PairFacts] = defaultdict(PairFacts)
    for external, taker, at in told:
        facts[external, giver].ends.append(End(at, EndedBy.TRANSFER.value))
        facts[external, taker].adds.append((at, ""))
    if facts:
        _apply(corp, FactSource.RECONCILE.value, clock.now(), facts, {}, set(), clock.now())


def _open_pairs(corp: Corp, pairs: Iterable[PairKey]) -> dict[PairKey, datetime]:
    """Of these, the relations we take for active → since when."""
    externals = {external for external, _userid in pairs}
    rows = Follow.objects.filter(corp=corp, relation=Relation.ACTIVE, **Identity.named(corp, externals))
    return {
        (external, userid): since
        for external, userid, since in rows.values_list("identity__value", "member__userid", "relation_since")
    }


def note_failed_transfer(corp: Corp, fact: EventFact) -> None:
    """The taking over by a guide failed: a fact of the person's timeline, once. Of somebody unknown nothing is kept."""
    _note(corp, fact, "follow.transfer_failed", reason=fact.fields.get("FailReason", "")[:40])


def note_archive_consent(corp: Corp, fact: EventFact) -> None:
    """The customer agreed that her talk with a guide is archived: a fact once per event. Of somebody unknown nothing is kept."""
    _note(corp, fact, "archive.agreed")


def _note(corp: Corp, fact: EventFact, kind: str, **payload: str) -> None:
    """An event of a pair as a fact of the person, told apart from others of its kind by the second it happened in."""
    external, userid = fact.fields.get("ExternalUserID", ""), fact.fields.get("UserID", "")
    known = _known_others(corp, {external} - {""}).get(external)
    if known is None:
        return
    member = Member.objects.filter(corp=corp, id_space=corp.id_space, userid=userid).first()
    digest = pair_digest(corp, external, userid)
    record_events(
        [
            NewEvent(
                kind,
                fact.occurred_at,
                FactSource.CALLBACK.value,
                f"{kind}:{digest}:{int(fact.occurred_at.timestamp())}",
                contact_id=known.contact_id,
                identity_id=known.identity_id,
                member_id=member.pk if member else None,
                subject=digest,
                payload=payload,
            )
        ]
    )


def lock_people(*, shared: bool = False) -> None:
    """One writer of people at a time per merchant: periods and identities are read, thought about, and written.

    shared: for batches that tell of strangers only, and of different ones.
    """
    locks.lock_in_transaction("people", shared=shared)


def _apply(
    corp: Corp, source: str, read_at: datetime, facts: dict[PairKey, PairFacts], known: dict[str, Known],
    renamed: set[int], now: datetime, done: frozenset[int] = frozenset(),
) -> None:  # fmt: skip
    """done: contacts whose search text and standing are written already."""
    members = ensure_members(corp, {userid for _external, userid in facts})
    people = known | _known_others(corp, {external for external, _userid in facts} - set(known))
    outcome = apply_pairs(corp, facts, source=source, read_at=read_at, people=people, members=members)
    new = {one.contact_id for one in known.values() if one.is_new}
    phoned = sync_remark_mobiles(outcome.mobiles, now=now, all_new=_all_new(outcome.mobiles.values(), new))
    refresh_search((new | renamed | outcome.remarked | phoned) - done)
    # A follow that turned out to be over counts otherwise than a first sight takes it.
    refresh_standing((new | outcome.touched) - (done - outcome.ended), now=now, backfill=source == "backfill")


def _all_new(mobiles: Iterable[tuple[int, tuple[str, ...]]], new: set[int]) -> bool:
    return all(contact_id in new for contact_id, _noted in mobiles)


def _facts(rows: Sequence[PersonRow], events: Sequence[EventFact]) -> dict[PairKey, PairFacts]:
    facts: dict[PairKey, PairFacts] = defaultdict(PairFacts)
    for row in rows:
        for info in row.follows:
            facts[row.person.external_userid, info.userid].info = info
    for event in events:
        pair = (event.fields.get("ExternalUserID", ""), event.fields.get("UserID", ""))
        if not all(pair):
            continue
        if event.change_type == "add_external_contact":
            facts[pair].adds.append((event.occurred_at, event.fields.get("State", "")))
        elif event.change_type == "del_external_contact":
            by = EndedBy.TRANSFER if event.fields.get("Source") == TRANSFER else EndedBy.GUIDE
            facts[pair].ends.append(End(event.occurred_at, by.value))
        elif event.change_type == "del_follow_user":
            facts[pair].ends.append(End(event.occurred_at, EndedBy.CUSTOMER.value))
    return facts


def _note_gone(facts: dict[PairKey, PairFacts], pair: PairKey, batch: PeopleBatch) -> None:
    """84061 without a delete event that says when: the guide deleted her some time before we looked. Right after an add it means
    'not readable yet' and ends nothing; after a half-add 'not yet confirmed', which makes no relation, and says of an earlier
    one that it is over."""
    adds = [
        event.occurred_at
        for event in batch.events
        if event.change_type == "add_external_contact"
        and (event.fields.get("ExternalUserID"), event.fields.get("UserID")) == pair
    ]
    is_fresh = any(abs(batch.read_at - at) <= SAME_ADDING for at in adds)
    if not is_fresh and not facts[pair].ends:
        facts[pair].ends.append(End(batch.read_at, EndedBy.UNKNOWN.value))


def _known_others(corp: Corp, externals: set[str]) -> dict[str, Known]:
    """People whom only an event named: known if they have an identity."""
    if not externals:
        return {}
    rows = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID, scope=corp.corp_id, id_space=corp.id_space, value__any_of=externals
    )
    return {
        value: Known(pk, contact_id, False) for value, pk, contact_id in rows.values_list("value", "pk", "contact_id")
    }
