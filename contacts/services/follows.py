"""Relations of a batch: what was read and what was told become follows, their periods, and facts of the timeline."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from contacts import marks
from contacts.models import EndedBy, Follow, FollowPeriod, Relation, TimelineEvent
from contacts.services.people import Known
from contacts.services.periods import SAME_ADDING, End, Period, Start, fold
from contacts.timeline import NewEvent, Places, Restated, record_events, restate_events, roots_of
from scrm.lib.db.bulk import clean_text, insert_rows, update_rows
from wecom_bridge.contracts import FollowInfo
from wecom_bridge.models import PLAIN, Corp

ENDED_KINDS = {
    EndedBy.CUSTOMER.value: "follow.deleted_by_customer",
    EndedBy.GUIDE.value: "follow.deleted_by_guide",
    EndedBy.TRANSFER.value: "follow.transferred",
    EndedBy.UNKNOWN.value: "follow.lost",
}
ENDED_BY_KIND = {kind: by for by, kind in ENDED_KINDS.items()}
RELATIONS = {
    EndedBy.CUSTOMER.value: Relation.DELETED_BY_CUSTOMER.value,
    EndedBy.GUIDE.value: Relation.DELETED_BY_GUIDE.value,
    EndedBy.TRANSFER.value: Relation.TRANSFERRED.value,
    EndedBy.UNKNOWN.value: Relation.UNKNOWN.value,
}

SEND_RESULT = "send_result"  # a value of Follow.relation_proof

PairKey = tuple[str, str]  # (external_userid, userid)


@dataclass
class PairFacts:
    """What a batch knows of one (external_userid, userid)."""

    info: FollowInfo | None = None  # the follow as read
    adds: list[tuple[datetime, str]] = field(default_factory=list)  # add events: when, state
    ends: list[End] = field(default_factory=list)
    proof: str = ""  # what told the ends, where it is not the batch itself: send_result


@dataclass
class Outcome:
    """What applying a batch changed. Contact ids are those of the follows, not roots."""

    touched: set[int] = field(default_factory=set)  # contacts whose counts and dates must be computed again
    remarked: set[int] = field(default_factory=set)  # contacts of follows whose remark changed
    ended: set[int] = field(default_factory=set)  # contacts of follows that are over
    mobiles: dict[int, tuple[int, tuple[str, ...]]] = field(
        default_factory=dict
    )  # follow id → (contact, mobiles as read)


class _Fresh(NamedTuple):
    """A follow just written: what is still asked of it. A model instance each would cost more than writing the rows."""

    pk: int
    contact_id: int
    remark_mobiles: Sequence[str]


@dataclass
class _Pair:
    key: PairKey
    facts: PairFacts
    known: Known | None
    member_id: int
    digest: str
    follow: Follow | None = None  # as it stood
    fresh: _Fresh | None = None
    periods: list[FollowPeriod] = field(default_factory=list)
    loose: list[TimelineEvent] = field(default_factory=list)
    inferred: set[End] = field(
        default_factory=set
    )  # an end that a sending found: no later than this, and no event of its own
    folded: list[Period] = field(default_factory=list)

    @property
    def written(self) -> Follow | _Fresh | None:
        """The follow once it is written."""
        return self.follow or self.fresh

    @property
    def seen_at(self) -> datetime | None:
        return self.follow.synced_at if self.follow else None


def pair_digest(corp: Corp, external_userid: str, userid: str) -> str:
    """The subject and fact-key stem of a relation, the same for every source that tells of it, another in each id space."""
    scope = corp.corp_id if corp.id_space == PLAIN else f"{corp.corp_id}/{corp.id_space}"
    raw = f"{scope}\n{external_userid}\n{userid}".encode()
    return "pair:" + hashlib.blake2b(raw, digest_size=16).hexdigest()


def apply_pairs(
    corp: Corp,
    facts: Mapping[PairKey, PairFacts],
    *,
    source: str,
    read_at: datetime,
    people: Mapping[str, Known],
    members: Mapping[str, int],
) -> Outcome:
    """Bring follows, periods and timeline to what the facts say. Idempotent; the caller holds the people lock."""
    pairs = [
        _Pair(key, one, people.get(key[0]), members[key[1]], pair_digest(corp, *key))
        for key, one in sorted(facts.items())
    ]
    _load(pairs)
    for pair in pairs:
        pair.folded = _fold(pair, source, read_at)
    outcome = Outcome()
    _write_follows(corp, pairs, source, read_at, outcome)
    _write_periods(pairs, outcome)
    _write_timeline(pairs, source)
    return outcome


def _load(pairs: Sequence[_Pair]) -> None:
    by_ids = {(pair.known.identity_id, pair.member_id): pair for pair in pairs if pair.known}
    old = {pair.known.identity_id for pair in pairs if pair.known and not pair.known.is_new}
    follows = {}
    for follow in Follow.objects.filter(identity_id__any_of=old) if old else ():
        pair = by_ids.get((follow.identity_id, follow.member_id))
        if pair:
            pair.follow = follow
            follows[follow.pk] = pair
            if follow.relation_proof == SEND_RESULT:
                pair.inferred.add(End(follow.relation_since, EndedBy.CUSTOMER.value))
    for period in FollowPeriod.objects.filter(follow_id__any_of=set(follows)).order_by("added_at") if follows else ():
        follows[period.follow_id].periods.append(period)
    by_digest = {pair.digest: pair for pair in pairs}
    loose = TimelineEvent.objects.filter(subject__any_of=set(by_digest), fact_key__startswith="follow.loose:")
    for event in loose:
        by_digest[event.subject].loose.append(event)


def _fold(pair: _Pair, source: str, read_at: datetime) -> list[Period]:
    starts = [Start(p.added_at, p.add_way, p.state, p.source) for p in pair.periods]
    ends = [End(p.ended_at, p.ended_by) for p in pair.periods if p.ended_at]
    ends += [End(event.occurred_at, ENDED_BY_KIND[event.kind]) for event in pair.loose]
    info, seen_at = pair.facts.info, pair.seen_at
    if info is not None:
        starts.append(Start(info.created_at, info.add_way, clean_text(info.state, 64), source))
        seen_at = max(seen_at, read_at) if seen_at else read_at
    if info is not None or pair.follow is not None:
        starts += [Start(at, state=clean_text(state, 64), source=source, weak=True) for at, state in pair.facts.adds]
    return fold(starts, ends + pair.facts.ends, seen_at=seen_at)


def _write_follows(corp: Corp, pairs: Sequence[_Pair], source: str, read_at: datetime, outcome: Outcome) -> None:
    fresh, changed = [], []
    for pair in pairs:
        if not pair.folded or pair.known is None:
            continue
        values = _follow_values(pair, source, read_at)
        if pair.follow is None:
            keys = {"corp_id": corp.pk, "identity_id": pair.known.identity_id, "contact_id": pair.known.contact_id,
                    "member_id": pair.member_id}  # fmt: skip
            fresh.append((pair, keys | values))
        elif any(getattr(pair.follow, name) != value for name, value in values.items()):
            changed.append((pair, {"id": pair.follow.pk} | values))
    for pair, row in changed:
        if pair.follow is not None and row["remark"] != pair.follow.remark:
            outcome.remarked.add(pair.follow.contact_id)
    update_rows(Follow, [row for _pair, row in changed])
    for (pair, row), (pk,) in zip(fresh, insert_rows(Follow, [row for _pair, row in fresh]), strict=True):
        pair.fresh = _Fresh(pk, row["contact_id"], row["remark_mobiles"])
        outcome.remarked.add(row["contact_id"])
    _mark_changes([(row["contact_id"], row, None) for _pair, row in fresh if not _is_new(_pair)]
                  + [(p.follow.contact_id, row, p.follow) for p, row in changed if p.follow])  # fmt: skip
    for pair, row in changed:
        for name, value in row.items():
            setattr(pair.follow, name, value)
    _note_outcome(pairs, outcome)


def _note_outcome(pairs: Sequence[_Pair], outcome: Outcome) -> None:
    for pair in pairs:
        follow = pair.written
        if follow is None:
            continue
        if pair.folded and pair.folded[-1].ended_at:
            outcome.ended.add(follow.contact_id)
        if pair.facts.info is not None:
            outcome.mobiles[follow.pk] = (follow.contact_id, tuple(follow.remark_mobiles))


def _is_new(pair: _Pair) -> bool:
    return pair.known is not None and pair.known.is_new


def _follow_values(pair: _Pair, source: str, read_at: datetime) -> dict[str, Any]:
    last, follow, info = pair.folded[-1], pair.follow, pair.facts.info
    relation = RELATIONS[last.ended_by] if last.ended_at else Relation.ACTIVE.value
    since = last.ended_at or last.start.at
    proof, proved_at = _proof(pair, last, relation, source, read_at)
    values = {
        "relation": relation,
        "relation_since": since,
        "relation_proof": proof,
        "relation_proved_at": proved_at,
        "added_at": last.start.at,
        "add_way": last.start.add_way,
        "state": last.start.state,
    }
    is_news = info is not None and (follow is None or _is_newer(follow, read_at))
    if info is not None and is_news:
        return values | {
            "remark": clean_text(info.remark, 64),
            "description": clean_text(info.description, 400),
            "remark_company": clean_text(info.remark_company, 64),
            "remark_mobiles": [clean_text(mobile, 40) for mobile in info.remark_mobiles if mobile],
            "synced_at": read_at,
        }
    kept = ("remark", "description", "remark_company", "remark_mobiles", "synced_at")
    return values | {name: getattr(follow, name) for name in kept}


def _is_newer(follow: Follow, read_at: datetime) -> bool:
    """Whether a reading knows more of the notes than we do: made after the last one, and after WeCom took an edit of ours."""
    return all(known is None or read_at >= known for known in (follow.synced_at, follow.remarked_at))


def _proof(pair: _Pair, last: Period, relation: str, source: str, read_at: datetime) -> tuple[str, datetime]:
    """What last proved the relation as it stands, and when (domain).

    An active one is proved by every sight and by an add event. An ended one by what told its end: a sight proves nothing of
    it, because WeCom lists a guide whom the customer deleted for ever. News of an earlier period prove nothing of the last.
    """
    told = pair.facts.proof or ("callback" if source == "callback" else "sync")
    proofs: list[tuple[datetime, str]] = []
    if last.ended_at is None:
        if pair.facts.info is not None:
            proofs.append((read_at, told))
        proofs += [(at, told) for at, _state in pair.facts.adds if at >= last.start.at - SAME_ADDING]
    else:
        proofs += [(end.at, told) for end in pair.facts.ends if end == End(last.ended_at, last.ended_by)]
    follow, since = pair.follow, last.ended_at or last.start.at
    if follow is not None and (follow.relation, follow.relation_since) == (relation, since):
        proofs.append((follow.relation_proved_at, follow.relation_proof))
    if not proofs:  # it follows from older facts, which this batch put in order
        return (follow.relation_proof if follow else told), read_at
    at, proof = max(proofs, key=lambda one: one[0])
    return proof, at


def _mark_changes(changes: Iterable[tuple[int, Mapping[str, Any], Follow | None]]) -> None:
    """Dirty marks of follows that changed, and of further follows of people we knew."""
    by_field: dict[str, set[int]] = defaultdict(set)
    watched = (
        ("relation", "follow.relation"),
        ("relation_since", "follow.relation"),
        ("added_at", "contact.added_at"),
        ("add_way", "follow.add_way"),
        ("state", "follow.state"),
        ("remark", "follow.remark"),
    )
    for contact_id, row, before in changes:
        for column, key in watched:
            if before is None or getattr(before, column) != row[column]:
                by_field[key].add(contact_id)
    _mark(by_field)


def _mark(by_field: Mapping[str, set[int]]) -> None:
    roots = roots_of(set().union(*by_field.values())) if by_field else {}
    for key, contact_ids in sorted(by_field.items()):
        marks.mark({roots[pk] for pk in contact_ids}, key)


def _write_periods(pairs: Sequence[_Pair], outcome: Outcome) -> None:
    closing: list[dict[str, Any]] = []
    opening: list[dict[str, Any]] = []
    fresh: list[tuple[_Pair, Period]] = []
    told: dict[str, set[int]] = defaultdict(set)
    for pair in pairs:
        follow = pair.written
        if follow is None or pair.known is None:
            continue
        existing = {period.added_at: period for period in pair.periods}
        for one in pair.folded:
            row = existing.get(one.start.at)
            if row is None:
                fresh.append((pair, one))
            elif (row.ended_at, row.ended_by) != (one.ended_at, one.ended_by):
                change = {"id": row.pk, "ended_at": one.ended_at, "ended_by": one.ended_by}
                (closing if one.ended_at else opening).append(change)
            else:
                continue
            outcome.touched.add(follow.contact_id)
            if not _is_new(pair):
                told["follow.added"] |= {follow.contact_id} if row is None else set()
                told["follow.ended"] |= {follow.contact_id} if row is not None or one.ended_at else set()
    # Closing first: a relation has at most one open period at any moment.
    update_rows(FollowPeriod, closing)
    update_rows(FollowPeriod, opening)
    places = Places.of({pair.member_id for pair, _one in fresh})
    insert_rows(FollowPeriod, [_period_row(pair, one, places) for pair, one in fresh])
    _mark(told)


def _period_row(pair: _Pair, one: Period, places: Places) -> dict[str, Any]:
    store_id, region_id, dealer_id = places.at(pair.member_id, one.start.at)
    return {
        "follow_id": pair.written.pk if pair.written else None, "added_at": one.start.at, "ended_at": one.ended_at,
        "ended_by": one.ended_by, "add_way": one.start.add_way, "state": one.start.state, "source": one.start.source,
        "store_id": store_id, "region_id": region_id, "dealer_id": dealer_id,
    }  # fmt: skip


def _write_timeline(pairs: Sequence[_Pair], source: str) -> None:
    """One fact per adding and one per ending; a delete event that ended nothing is kept as loose, for the day its adding
    becomes known; a better time or cause of an ending restates its fact."""
    events: list[NewEvent] = []
    restated: list[Restated] = []
    revoked: list[str] = []
    for pair in pairs:
        before = {period.added_at: period for period in pair.periods}
        used: set[End] = set()
        for one in pair.folded:
            old = before.get(one.start.at)
            if old is None:
                events.append(_added(pair, one))
            elif old.ended_at is not None and one.ended_at is None:
                revoked.append(_ended_key(pair, one.start))  # its fact goes, or it would swallow the real ending's
            if one.ended_at is None or _is_implied(one, pair.folded):
                continue
            end = End(one.ended_at, one.ended_by)
            used.add(end)
            if old is None or old.ended_at is None or _was_implied(old, pair):
                events.append(_ended(pair, one, end, source))
            elif End(old.ended_at, old.ended_by) != end:
                restated.append(Restated(_ended_key(pair, one.start), ENDED_KINDS[end.by], end.at))
        events += _loose(pair, used, source)
    stale = [event for pair in pairs for event in pair.loose if _is_used(event, pair)]
    stale += list(TimelineEvent.objects.filter(fact_key__in=revoked)) if revoked else []
    record_events(events)
    restate_events(restated, dropped=stale)


def _is_implied(one: Period, folded: Sequence[Period]) -> bool:
    return one.ended_by == EndedBy.UNKNOWN and any(other.start.at == one.ended_at for other in folded)


def _was_implied(old: FollowPeriod, pair: _Pair) -> bool:
    return old.ended_by == EndedBy.UNKNOWN and any(period.added_at == old.ended_at for period in pair.periods)


def _is_used(event: TimelineEvent, pair: _Pair) -> bool:
    end = (event.occurred_at, ENDED_BY_KIND[event.kind])
    return any((one.ended_at, one.ended_by) == end for one in pair.folded)


def _ended_key(pair: _Pair, start: Start) -> str:
    return f"follow.ended:{pair.digest}:{int(start.at.timestamp())}"


def _base(pair: _Pair) -> dict[str, Any]:
    return {
        "contact_id": pair.known.contact_id if pair.known else None,
        "identity_id": pair.known.identity_id if pair.known else None,
        "member_id": pair.member_id,
        "subject": pair.digest,
    }


def _added(pair: _Pair, one: Period) -> NewEvent:
    payload: dict[str, Any] = {"add_way": one.start.add_way, "state": one.start.state}
    if pair.written is not None:
        payload["follow"] = pair.written.pk
    key = f"follow.added:{pair.digest}:{int(one.start.at.timestamp())}"
    return NewEvent(
        "follow.added", one.start.at, one.start.source, key, payload=payload, quiet=_is_new(pair), **_base(pair)
    )


def _ended(pair: _Pair, one: Period, end: End, source: str) -> NewEvent:
    payload = {"added_at": one.start.at.isoformat(), "add_way": one.start.add_way, "state": one.start.state}
    return NewEvent(ENDED_KINDS[end.by], end.at, source, _ended_key(pair, one.start), payload=payload, **_base(pair))


def _loose(pair: _Pair, used: set[End], source: str) -> list[NewEvent]:
    known = {End(p.ended_at, p.ended_by) for p in pair.periods if p.ended_at}
    loose = {end for end in {*pair.facts.ends, *known} if end not in used and end.by != EndedBy.UNKNOWN} - pair.inferred
    return [
        NewEvent(ENDED_KINDS[end.by], end.at, source, f"follow.loose:{pair.digest}:{end.by}:{int(end.at.timestamp())}",
                 payload={"loose": True}, **_base(pair))
        for end in sorted(loose, key=lambda end: (end.at, end.by))
    ]  # fmt: skip
