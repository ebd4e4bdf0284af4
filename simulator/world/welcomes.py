"""Welcome codes: one use, within 20 seconds of wall time after the callback carrying them went out."""

from dataclasses import dataclass

from simulator.world.ids import digest_text

WINDOW = 20.0
KEEP, KEEP_SECONDS = 10_000, 3600.0


@dataclass
class WelcomeCode:
    """A code and what became of it; times are wall seconds."""

    code: str
    userid: str
    number: int
    expires: float
    used: bool = False
    sent_out: bool = False


class WelcomeDesk:
    """Issues and redeems welcome codes."""

    def __init__(self, key: str) -> None:
        self._key, self._issued = key, 0
        self._codes: dict[str, WelcomeCode] = {}

    def issue(self, userid: str, number: int, wall: float) -> str:
        """A code for this member and customer; its window runs from now until `went_out` moves it."""
        if len(self._codes) >= KEEP:
            self._codes = {key: row for key, row in self._codes.items() if row.expires > wall - KEEP_SECONDS}
        self._issued += 1
        code = digest_text(self._key, "welcome", self._issued, userid, number, length=43)
        self._codes[code] = WelcomeCode(code, userid, number, wall + WINDOW)
        return code

    def find(self, code: str) -> WelcomeCode | None:
        """The code, spent or not; one that expired long ago may be forgotten."""
        return self._codes.get(code)

    def went_out(self, code: str, wall: float) -> None:
        """The first delivery of the callback began: the 20 seconds count from here."""
        row = self._codes.get(code)
        if row and not row.sent_out:
            row.sent_out, row.expires = True, wall + WINDOW
