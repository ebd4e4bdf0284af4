"""A world's chance: what may be drawn, with instants and days where answers change, and how rows are written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Model

# What trees ask about and what instants lie at, so that one meets the other.
DAYS = (1, 2, 7, 30, 90, 365)
HOURS = (1, 6, 24)
GAPS = (1, 7)
KINDS = ("follow.added", "group.joined", "order.paid", "stage.changed", "tag.added")
# (zone, now): an ordinary noon; the leap day and its eve; both sides of changes of the clock; the hour that comes twice.
# Not a midnight that comes twice (Havana in November): the document does not say which of the two begins the day.
MOMENTS = (
    ("Asia/Shanghai", datetime(2026, 3, 1, 4, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2026, 2, 28, 15, 59, 59, 999999, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2024, 2, 28, 16, tzinfo=UTC)),
    ("Asia/Shanghai", datetime(2025, 2, 26, 16, tzinfo=UTC)),
    ("America/New_York", datetime(2027, 2, 28, 5, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 9, 3, 59, 59, 999999, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 2, 29, 4, 59, 59, 999999, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 3, 8, 12, tzinfo=UTC)),  # midnight is left out there
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),  # half an hour
    ("Asia/Kathmandu", datetime(2026, 12, 31, 18, 15, tzinfo=UTC)),
    ("Pacific/Kiritimati", datetime(2027, 1, 1, 9, 59, 59, 999999, tzinfo=UTC)),
)
NAMES = (
    "",
    "王小美",
    "王小",
    "王小 ",
    "小美",
    "Wang",
    "wang",
    "100%",
    "a_b",
    "a\\b",
    "O'Hara",
    " ",
    "测试 空格",
    "ß",
    "é",
    "e\u0301",
)
STATES = ("", "", "qr1", "QR1", "store-9", "活动码")
CATEGORIES = ("", "面包", "蛋糕", "Cake")
SOURCES = ("pos", "youzan", "api")
WAYS = (0, 1, 2, 202)


@dataclass
class World:
    """What was written, by what trees may name."""

    seed: int
    zone: str
    now: datetime
    pools: dict[str, list[Any]] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)  # key → type


class Chance:
    """Draws for one world. people: how many contacts there will be."""

    def __init__(self, seed: int, people: int) -> None:
        self.r = Random(seed)
        self.zone, self.now = self.r.choice(MOMENTS)
        if self.r.random() < 0.3:
            self.now += timedelta(microseconds=self.r.randrange(86_400_000_000))
        self.people = people
        self.world = World(seed, self.zone, self.now)
        self.numbers = iter(range(1, 1_000_000))

    def instant(self) -> datetime:
        """Mostly where an answer changes, a microsecond before or after."""
        r, zone = self.r, ZoneInfo(self.zone)
        chance = r.random()
        if chance < 0.4:
            at = self.now - timedelta(days=r.choice(DAYS))
        elif chance < 0.5:
            at = self.now - timedelta(hours=r.choice(HOURS))
        elif chance < 0.7:
            day = self.now.astimezone(zone).date() - timedelta(days=r.choice((-1, 0, 1, 2, 7, 30, 31)))
            at = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        elif chance < 0.75:
            at = self.now
        elif chance < 0.8:
            at = self.now + timedelta(days=r.choice((1, 30)))
        else:
            at = self.now - timedelta(microseconds=r.randrange(400 * 86_400_000_000))
        return at + timedelta(microseconds=r.choice((-1, 0, 0, 1)))

    def day(self) -> date:
        """Of a birth or a deadline: around today and its anniversaries, leap days too."""
        today = self.now.astimezone(ZoneInfo(self.zone)).date()
        chance = self.r.random()
        if chance < 0.2:
            return date(self.r.choice((1996, 2000, 2024)), 2, 29)
        if chance < 0.3:
            return date(self.r.choice((1990, 2024)), *self.r.choice(((2, 28), (3, 1), (1, 1), (12, 31))))
        near = today + timedelta(days=self.r.choice((-2, -1, 0, 1, 2, 7, 8, 30, 31, 364)))
        year = self.r.choice((1985, 2001, near.year, near.year - 1, near.year + 1))
        return near.replace(year=year, day=28 if (near.month, near.day) == (2, 29) else near.day)

    def maybe(self, value: Any, chance: float = 0.7) -> Any:
        """The value, or None."""
        return value if self.r.random() < chance else None

    def number(self) -> int:
        """A number nobody had before."""
        return next(self.numbers)

    def one(self, pool: str) -> Any:
        """One of what trees may name."""
        return self.r.choice(self.world.pools[pool])

    def keep(self, name: str, rows: Iterable[Model]) -> list[Any]:
        """Write rows and let trees name them."""
        written = write(rows)
        self.world.pools[name] = [row.pk for row in written]
        return written


def write(rows: Iterable[Any]) -> list[Any]:
    """Insert rows of one model, as they are; nobody is told."""
    written = list(rows)
    return type(written[0])._default_manager.bulk_create(written) if written else []


def unlike(rows: Iterable[Any], key: Callable[[Any], Any]) -> list[Any]:
    """The first of those that a unique constraint would take for one."""
    return list({key(row): row for row in reversed(list(rows))}.values())[::-1]
