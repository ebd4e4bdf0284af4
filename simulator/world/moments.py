"""Moments (客户朋友圈): what the corp asks its guides to publish, what they publish themselves, who sees it, likes and comments."""

from dataclasses import dataclass, field

from simulator.world.customers import CustomerBook
from simulator.world.ids import digest_text

PENDING, RUNNING, DONE = 1, 2, 3
PARTIAL, PUBLIC = 0, 1
JOB_LIFE = 86_400  # of wall time: a job can be asked about for 24 hours


@dataclass
class Publication:
    """One guide's part: published or not, and to whom it was then shown (customer numbers)."""

    at: int = 0
    shown_to: list[int] = field(default_factory=list)
    likes: list[tuple[str, int]] = field(default_factory=list)
    comments: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Moment:
    """A moment. `creator` is empty for one made by the API (create_type 0), a userid for a personal one (1).

    `tags` narrow whom it is visible to; none: all customers of whoever publishes it.
    """

    moment_id: str
    create_time: int
    text: str
    attachments: list[dict]
    tags: list[str] = field(default_factory=list)
    creator: str = ""
    create_type: int = 0
    senders: dict[str, Publication] = field(default_factory=dict)
    cancelled: bool = False
    deleted: bool = False
    ready_wall: float = 0.0

    @property
    def visible_type(self) -> int:
        """0 when tags narrow it, else 1."""
        return PARTIAL if self.tags else PUBLIC


@dataclass
class MomentJob:
    """An asynchronous job: decided when asked for, told when `ready_wall` has come. `result` is WeCom's result object."""

    jobid: str
    made_wall: float
    ready_wall: float
    result: dict

    def status(self, wall: float) -> int:
        """1 for the first half of its time, 2 for the second, then 3."""
        if wall >= self.ready_wall:
            return DONE
        return RUNNING if wall >= (self.made_wall + self.ready_wall) / 2 else PENDING


class MomentBook:
    """All moments and jobs of a corp, and what each customer was shown."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.moments: dict[str, Moment] = {}
        self.jobs: dict[str, MomentJob] = {}
        self.shown: dict[int, list[tuple[int, str]]] = {}

    def new(self, now: int, text: str, attachments: list[dict], *, creator: str = "") -> Moment:
        """A moment nobody has published yet."""
        moment_id = "mom" + digest_text(self._key, "moment", len(self.moments), length=29)
        moment = Moment(moment_id, now, text, attachments, creator=creator, create_type=1 if creator else 0)
        self.moments[moment_id] = moment
        return moment

    def new_job(self, wall: float, seconds: float, result: dict) -> MomentJob:
        """A job that is done after `seconds`."""
        jobid = digest_text(self._key, "momentjob", len(self.jobs), length=40)
        self.jobs[jobid] = MomentJob(jobid, wall, wall + seconds, result)
        return self.jobs[jobid]

    def open_jobs(self, wall: float) -> int:
        """How many jobs are not done."""
        return sum(1 for job in self.jobs.values() if job.ready_wall > wall)

    def seen_by(self, number: int) -> list[tuple[int, str]]:
        """(instant, moment_id) of everything shown to a customer, oldest first."""
        return self.shown.get(number, [])


def audience(customers: CustomerBook, userid: str, tags: list[str]) -> list[int]:
    """Customers of a member, of those who carry one of `tags` when there are any."""
    numbers, _ = customers.numbers(userid)
    if not tags:
        return numbers
    wanted = set(tags)
    rows = ((number, customers.follow(userid, number)) for number in numbers)
    return [number for number, follow in rows if follow and wanted.intersection(follow.tags)]
