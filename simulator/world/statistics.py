"""What happened on which day: the few facts that the statistics need and that the world itself forgets."""

from collections import Counter
from dataclasses import dataclass, field

from simulator.clock import local
from simulator.world.base import BaseWorld

DAY = 86_400


def midnight(instant: float) -> int:
    """00:00 of that day in China time."""
    return int(local(instant).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


@dataclass
class Talk:
    """A member and a customer talked on a day: how much she wrote, and after how many minutes she answered, None for not at all."""

    sent: int = 0
    asked: bool = False
    reply_minutes: float | None = None


@dataclass
class Departure:
    """Somebody who left a group, or the whole group (`who` is empty) when it was dissolved."""

    chat_id: str
    who: str
    joined_at: int
    left_at: int


@dataclass
class DayBook:
    """Counted by (member, midnight) where a day is enough; departures and words in groups one by one."""

    gains: Counter = field(default_factory=Counter)
    applications: Counter = field(default_factory=Counter)
    losses: Counter = field(default_factory=Counter)
    talks: dict[tuple[str, int, int], Talk] = field(default_factory=dict)
    departures: list[Departure] = field(default_factory=list)
    words: list[tuple[str, str, int, int]] = field(default_factory=list)  # (chat_id, who, at, messages)

    def gained(self, userid: str, at: int, *, applied: bool = False) -> None:
        """The member has a new customer; `applied`: she had asked."""
        self.gains[userid, midnight(at)] += 1
        if applied:
            self.applications[userid, midnight(at)] += 1

    def lost(self, userid: str, at: int) -> None:
        """A customer deleted the member."""
        self.losses[userid, midnight(at)] += 1

    def talked(self, userid: str, number: int, at: int, *, sent: int = 1, reply_minutes: float | None = None) -> None:
        """They talked. With `reply_minutes` the customer wrote first and was answered after so long; the day's first counts."""
        talk = self.talks.setdefault((userid, number, midnight(at)), Talk())
        talk.sent += sent
        if sent == 0:
            talk.asked = True
        if talk.reply_minutes is None and reply_minutes is not None:
            talk.asked, talk.reply_minutes = True, reply_minutes

    def of_member(self, userid: str, day: int) -> list[Talk]:
        """The chats of a member on a day."""
        return [talk for (who, _number, when), talk in self.talks.items() if who == userid and when == day]


def base_gains(base: BaseWorld, userid: str, first: int, last: int) -> Counter:
    """How many customers the member gained per day from midnight `first` to midnight `last`, in the scenario's past."""
    guide = base.guide_number.get(userid)
    found: Counter = Counter()
    if guide is None:
        return found
    for number in base.customers_of(guide, 0, base.count_of(guide)):
        own = base.first_guide(number) == guide
        at = base.added_at(number) if own else base.second_added_at(number)
        if first <= at < last + DAY:
            found[midnight(at)] += 1
    return found
