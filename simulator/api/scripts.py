"""Scripted replies: what the next calls of an endpoint shall meet instead of the truth."""

from dataclasses import asdict, dataclass, field


@dataclass
class Script:
    """For the next `times` matching calls (after letting `skip` pass):

    `execute` runs the call first (its effect stays), then the fault shows; without it nothing happened.
    `delay` waits, in seconds, before answering; alone it leaves the answer whole. `truncate` sends that many bytes of
    the body and closes, `half` sends half of it; `drip` spreads the answer over so many seconds; `close` closes without
    an answer. `match` names parameters that must be equal.
    """

    endpoint: str
    times: int = 1
    skip: int = 0
    corp_id: str = ""
    execute: bool | None = None
    errcode: int | None = None
    errmsg: str = ""
    http_status: int | None = None
    delay: float = 0.0
    drip: float | None = None
    truncate: int | None = None
    half: bool = False
    close: bool = False
    body: dict | None = None
    match: dict = field(default_factory=dict)

    @property
    def faulty(self) -> bool:
        """Whether the answer is replaced, not merely late."""
        replaced = (self.errcode, self.http_status, self.truncate, self.body)
        return self.close or self.half or any(value is not None for value in replaced)

    @property
    def runs(self) -> bool:
        """Whether the call takes effect; by default only when the true answer is (partly) sent."""
        if self.execute is not None:
            return self.execute
        return not self.faulty or self.truncate is not None or self.half


class ScriptBook:
    """Scripts in the order they were given; the first that fits serves."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []

    def add(self, spec: dict) -> Script:
        """Accept a script. Raises ValueError for an unknown key or a missing endpoint."""
        try:
            script = Script(**spec)
        except TypeError as error:
            raise ValueError(str(error)) from error
        script.endpoint = script.endpoint.removeprefix("/").removeprefix("cgi-bin/")
        self._scripts.append(script)
        return script

    def take(self, path: str, corp_id: str, given: dict) -> Script | None:
        """The script that serves this call, used up by one."""
        for script in self._scripts:
            if script.endpoint not in (path, "*") or script.corp_id not in ("", corp_id):
                continue
            if any(given.get(key) != value for key, value in script.match.items()):
                continue
            if script.skip > 0:
                script.skip -= 1
                continue
            script.times -= 1
            if script.times <= 0:
                self._scripts.remove(script)
            return script
        return None

    def clear(self) -> None:
        """Forget all of them."""
        self._scripts.clear()

    def shown(self) -> list[dict]:
        """What is still waiting."""
        return [asdict(script) for script in self._scripts]
