"""Whether a page of the customer list, and a search in it, cost what is shown, or what the merchant has."""

from abc import abstractmethod
from typing import ClassVar

from benchmarks import merchants, people
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from benchmarks.tenant import drop_tenant

_FEW = 10_000
_LOOKS = 10


class _Lists(Benchmark):
    """Pages as an HQ user's browser gets them, without the network: session, permissions, queries, template."""

    scale: ClassVar[int] = 1_000_000
    quick_scale: ClassVar[int] = 20_000

    @abstractmethod
    def paths(self) -> tuple[str, ...]:
        """What is looked at."""

    def prepare(self) -> None:
        merchants.migrate_public()
        self.detail |= {"server": require_durable_server(), "looks": _LOOKS, "paths": self.paths()}
        self.tenants = {
            "many": people.make_merchant("bench-list-many", self.size),
            "few": people.make_merchant("bench-list-few", _FEW),
        }
        self.clients = {side: people.log_in(tenant) for side, tenant in self.tenants.items()}
        self.shown: dict[str, int] = {}

    def measure_subject(self, round_number: int) -> float:
        return self._look("many")

    def measure_baseline(self, round_number: int) -> float:
        return self._look("few")

    def _look(self, side: str) -> float:
        with Stopwatch() as watch:
            for _number in range(_LOOKS):
                pages = [self.clients[side].get(path) for path in self.paths()]
        if any(page.status_code != 200 for page in pages):
            raise Unfair(f"answered {[page.status_code for page in pages]}")
        self.shown[side] = sum(page.content.count(b"data-row") for page in pages)
        return watch.seconds / _LOOKS / len(self.paths())

    def compare(self) -> None:
        if len(set(self.shown.values())) != 1 or not self.shown["many"]:
            raise Unfair(f"not as many rows: {self.shown}")

    def close(self) -> None:
        for tenant in getattr(self, "tenants", {}).values():
            drop_tenant(tenant)


class ContactList(_Lists):
    """Everybody, one store, one stage, the friends of one guide, whom guides deleted, newest first; a store oldest first, a stage
    longest there first."""

    name: ClassVar[str] = "contact_list"
    goal: ClassVar[float] = 1.5
    baseline: ClassVar[str] = "the same pages of a merchant with 10,000 customers"

    def paths(self) -> tuple[str, ...]:
        newest = "/contacts/", "/contacts/?store=7", "/contacts/?stage=3", "/contacts/?guide=5&relation=active"
        return (
            *newest,
            "/contacts/?relation=by_guide",
            "/contacts/?store=7&sort=oldest",
            "/contacts/?stage=3&sort=stage",
        )


class ContactSearch(_Lists):
    """By Chinese name and by parts of one of three and two characters, with the same hits in both."""

    name: ClassVar[str] = "contact_search"
    goal: ClassVar[float] = 3
    baseline: ClassVar[str] = "the same search among 10,000 customers, with as many hits"

    def paths(self) -> tuple[str, ...]:
        return "/contacts/?q=欧阳晓雨", "/contacts/?q=阳晓雨", "/contacts/?q=晓雨"
