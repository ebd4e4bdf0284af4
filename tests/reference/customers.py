"""A world's people: roots and branches, their relations with guides, tags, segments and groups."""

from datetime import timedelta
from typing import Any

from contacts.models import (
    ConsentRecord,
    Contact,
    ContactPhone,
    Follow,
    FollowPeriod,
    GroupMembership,
    Identity,
    Member,
)
from tagging.models import FollowTag, SegmentEntry
from tests.reference.chance import NAMES, STATES, WAYS, unlike, write
from tests.reference.surroundings import CUSTOM, WRONG, Surroundings


class Customers(Surroundings):
    """Writes them, with every kind of value, or without."""

    def add_contacts(self) -> None:
        """Roots and branches, with identities, phones and consents."""
        roots = write([self._contact() for _ in range(self.people * 4 // 5)])
        branches = write([
            self._contact(root=root, erased_at=root.erased_at) for root in self.r.choices(roots, k=self.people // 5)
        ])  # fmt: skip
        self.contacts = roots + branches
        self.root_of = {contact.pk: contact.root or contact for contact in self.contacts}
        self.identities = write([
            Identity(kind="external", scope=self.corp.corp_id, value=f"wmref{contact.pk}-{n}", contact=contact, created_at=self.now)
            for contact in self.contacts for n in range(self.r.choice((1, 1, 1, 2)))
        ])  # fmt: skip
        write([
            ContactPhone(contact=contact, phone="+8613900000000", source=source, created_at=self.now)
            for contact in self.contacts for source in self.r.sample(("manual", "order", "import"), self.r.choice((0, 0, 1, 2)))
        ])  # fmt: skip
        write(self._consent(contact) for contact in self.contacts for _ in range(self.r.choice((0, 1, 2, 4))))

    def _contact(self, **overrides: Any) -> Contact:
        r = self.r
        stage = self.maybe(self.one("stage"))
        fields = {
            "name": r.choice(NAMES), "gender": r.choice((0, 1, 2)), "stage_id": stage,
            "stage_since": self.instant() if stage else None, "owner": self.maybe(r.choice(self.members)),
            "store_id": self.maybe(self.one("store"), 0.6), "birthday": self.maybe(self.day()),
            "opt_out_since": self.maybe(self.instant(), 0.4), "opt_out_until": self.maybe(self.instant(), 0.6),
            "first_added_at": self.maybe(self.instant(), 0.85), "last_added_at": self.maybe(self.instant(), 0.85),
            "custom": self._values(), "erased_at": self.maybe(self.now, 0.06), "created_at": self.now, "updated_at": self.now,
        }  # fmt: skip
        return Contact(**{**fields, **overrides})

    def _values(self) -> dict[str, Any]:
        if self.r.random() < 0.2:
            return {}
        return {
            key: self.r.choice(WRONG) if self.r.random() < 0.2 else value(self)
            for key, (_kind, value) in CUSTOM.items()
            if self.r.random() < 0.6
        }

    def _consent(self, contact: Contact) -> ConsentRecord:
        purpose = self.r.choice(("messages", "messages", "profile", "sharing", "opt_out"))
        decision = self.r.choice(("set", "ended") if purpose == "opt_out" else ("given", "withdrawn"))
        at = self.instant()
        return ConsentRecord(
            contact=contact, purpose=purpose, decision=decision, channel="chat", source="guide", decided_at=at,
            noted_at=at + timedelta(days=self.r.choice((0, 1))),
        )  # fmt: skip

    def add_relations(self) -> None:
        """Follows with their periods and tags, owners, and who is in which segment."""
        r = self.r
        self.follows = write(
            self._follow(identity, member)
            for identity in self.identities
            for member in r.sample(self.members, r.choice((0, 1, 1, 2, 3)))
        )
        active: dict[int, int] = {}
        for follow in self.follows:
            root = self.root_of[follow.contact_id]
            active[root.pk] = active.get(root.pk, 0) + (follow.relation == "active")
        for contact in self.contacts:
            contact.active_follows = active.get(contact.pk, 0)
            friends = [f.member for f in self.follows if self.root_of[f.contact_id].pk == contact.pk]
            if friends and r.random() < 0.6:
                contact.owner = r.choice(friends)
        Contact.objects.bulk_update(self.contacts, ["active_follows", "owner"])
        write(period for follow in self.follows for period in self._periods(follow))
        write(
            FollowTag(
                follow=follow, contact=follow.contact, tag=tag, origin=self.one("origin"), tagged_at=self.instant(),
                state=r.choice(("on", "on", "on", "adding", "removing", "failed")),
            )
            for follow in self.follows for tag in r.sample(self.tags, r.choice((0, 1, 2, 3)))
        )  # fmt: skip
        pairs = {
            (segment, contact)
            for segment in range(4)
            for contact in r.sample(range(len(self.contacts)), self.people // 4)
        }
        write(
            SegmentEntry(segment=self.segments[segment], contact=self.contacts[contact], entered_at=self.instant())
            for segment, contact in sorted(pairs)
        )

    def _follow(self, identity: Identity, member: Member) -> Follow:
        r, at = self.r, self.instant()
        return Follow(
            corp=self.corp, identity=identity, contact=identity.contact, member=member, remark=r.choice(("", "", "老客", " ")),
            relation=r.choice(("active", "active", "active", "by_customer", "by_guide", "transferred", "unknown")),
            relation_since=self.instant(), relation_proved_at=self.now, added_at=at, add_way=r.choice(WAYS), state=r.choice(STATES),
        )  # fmt: skip

    def _periods(self, follow: Follow) -> list[FollowPeriod]:
        instants = sorted({self.instant() for _ in range(self.r.choice((1, 1, 2, 3)) * 2)})
        periods = []
        for begins, ends in zip(instants[::2], instants[1::2] + [None], strict=False):
            open_ = ends is None or (begins == instants[::2][-1] and self.r.random() < 0.6)
            periods.append(FollowPeriod(
                follow=follow, added_at=begins, ended_at=None if open_ else ends, ended_by="" if open_ else self.one("by"),
                add_way=self.r.choice(WAYS), state=self.r.choice(STATES), source="callback", store_id=self.maybe(self.one("store")),
            ))  # fmt: skip
        return periods

    def add_groups(self) -> None:
        """Who is in a group, or was."""
        r, rows, taken = self.r, [], set()
        for contact in self.contacts:
            for chat in r.choices(self.chats, k=r.choice((0, 0, 1, 2, 3))):
                joined, left = sorted((self.instant(), self.instant()))
                if (chat.pk, contact.pk) not in taken and r.random() < 0.7:
                    left = None
                    taken.add((chat.pk, contact.pk))
                rows.append(GroupMembership(
                    group=chat, kind=2, userid=f"wm{contact.pk}", contact=contact, joined_at=joined, left_at=left,
                ))  # fmt: skip
        for n, member in enumerate(self.members[:3]):
            rows.append(
                GroupMembership(group=self.chats[n], kind=1, userid=member.userid, member=member, joined_at=self.now)
            )
        write(unlike(rows, lambda row: (row.group_id, row.userid, row.joined_at)))
