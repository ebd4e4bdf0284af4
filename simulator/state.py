"""Keeping the worlds across restarts: one file, written whole and swapped in, read back only by the same start."""

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.simulator import Simulator

FORMAT = 3


class StateFile:
    """A snapshot of corps, domain clock and switches. Tokens, logs, scripts and events under way are not kept."""

    def __init__(self, path: Path, identity: tuple) -> None:
        self.path, self._identity = path, (FORMAT, *identity)

    def save(self, sim: "Simulator") -> None:
        """Write the snapshot so that a crash leaves the old one or the new one."""
        body = {
            "identity": self._identity,
            "offset": sim.clock.offset,
            "start": sim.start,
            "switches": sim.switches.shown(),
            "corps": list(sim.corps.values()),
        }
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            pickle.dump(body, file, protocol=pickle.HIGHEST_PROTOCOL)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def load(self, sim: "Simulator") -> str:
        """Take up the snapshot. Returns '' or why it was left aside (and the world is a fresh one)."""
        if not self.path.exists():
            return "no snapshot yet"
        try:
            body = pickle.loads(self.path.read_bytes())
        except Exception as error:  # any class may have changed its shape since
            return f"unreadable snapshot: {type(error).__name__}"
        if body.get("identity") != self._identity:
            return "the snapshot is of another scenario, seed or start"
        sim.clock.offset, sim.start = body["offset"], body["start"]
        sim.switches.set(body["switches"])
        sim.corps.clear()
        sim.corps.update({corp.corp_id: corp for corp in body["corps"]})
        sim.blank()
        return ""
