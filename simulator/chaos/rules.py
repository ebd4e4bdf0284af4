"""One rule of chaos: what it aims at, how often it strikes, and what it does then.

A rule decides by its seed and by how many calls or events it has looked at, never by the time: the same calls in the same
order meet the same faults again.
"""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from simulator.api.errors import TEXTS
from simulator.api.scripts import Script
from simulator.world.draw import draw

CALLBACKS = "callbacks"
CALLBACK_KINDS = ("drop", "double", "delay", "reorder")
CALL_KINDS = ("timeout", "slow", "half", "close")
RUNS_FIRST = {"timeout": 1.0, "slow": 1.0, "half": 1.0}
SECONDS = {"delay": 2.0, "reorder": 2.0, "timeout": 30.0, "slow": 3.0}
WHOLE = 2**64


@dataclass
class Rule:
    """`target` is `callbacks` or an endpoint pattern such as `externalcontact/*`; `corp_id` narrows it to one corp.

    Kinds for callbacks: drop, double, delay (`seconds`), reorder (put behind up to `behind` later events, `seconds` at
    most). Kinds for calls: an errcode such as -1 or 45009, timeout (no answer for `seconds`, then the connection
    closes), slow (the answer drips over `seconds`), half (half the body, then the connection closes), close.
    `execute` is the share of struck calls that take effect before the fault shows. `seen`, `struck` and `executed` count
    what it looked at, what it struck, and which of those took effect.
    """

    target: str
    kind: str
    rate: float = 1.0
    seed: int = 0
    corp_id: str = ""
    seconds: float | None = None
    behind: int = 8
    execute: float | None = None
    id: int = 0
    seen: int = 0
    struck: int = 0
    executed: int = 0

    def __post_init__(self) -> None:
        self.target = str(self.target).removeprefix("/").removeprefix("cgi-bin/")
        self.kind = str(self.kind)
        self._check()
        if self.seconds is None:
            self.seconds = SECONDS.get(self.kind, 0.0)
        if self.execute is None:
            self.execute = RUNS_FIRST.get(self.kind, 0.0)
        self.execute = float(self.execute)

    def _check(self) -> None:
        """Raises ValueError saying what is wrong."""
        if not self.target:
            raise ValueError("a rule needs a target: callbacks, or an endpoint pattern")
        known = CALLBACK_KINDS if self.target == CALLBACKS else CALL_KINDS
        is_code = self.target != CALLBACKS and self.kind.lstrip("-").isdigit() and int(self.kind) in TEXTS
        if self.kind not in known and not is_code:
            more = "" if self.target == CALLBACKS else ", or an errcode such as -1"
            raise ValueError(f"kind for {self.target} is one of {', '.join(known)}{more}")
        if not 0 <= self.rate <= 1 or not 0 <= (self.execute or 0) <= 1:
            raise ValueError("rate and execute are shares between 0 and 1")
        if self.execute and self.kind in ("40014", "42001"):
            raise ValueError("a call with a bad token never takes effect")
        if self.behind < 1 or (self.seconds is not None and self.seconds < 0):
            raise ValueError("behind is at least 1, seconds at least 0")

    def aims_at(self, target: str, corp_id: str) -> bool:
        """Whether the rule looks at this endpoint (or `callbacks`) of this corp."""
        if self.corp_id not in ("", corp_id) or (self.target == CALLBACKS) != (target == CALLBACKS):
            return False
        return fnmatchcase(target, self.target)

    def looks(self) -> bool:
        """Look at one more call or event and decide; the chance is drawn from the seed and the count alone."""
        self.seen += 1
        return self.chance("strike") < self.rate

    def chance(self, purpose: str) -> float:
        """A number in [0, 1) for the call or event looked at last."""
        return draw("chaos", self.seed, self.target, self.kind, self.seen, purpose) / WHOLE

    def places(self) -> int:
        """How many later events pass the one looked at last."""
        return 1 + int(self.chance("behind") * self.behind)

    def fault(self) -> Script:
        """What the call looked at last meets, as a script."""
        script = Script(self.target, execute=self.chance("execute") < (self.execute or 0))
        if self.kind == "timeout":
            script.delay, script.close = self.seconds or 0.0, True
        elif self.kind == "slow":
            script.drip = self.seconds
        elif self.kind == "half":
            script.half = True
        elif self.kind == "close":
            script.close = True
        else:
            script.errcode = int(self.kind)
        return script

    def shown(self) -> dict:
        """The rule with its counters."""
        return asdict(self)
