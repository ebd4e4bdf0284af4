"""After any history, segments hold whom a rebuild would find and whom the document says, over the product's own fields.

Each history is lived on three connections at once, whose transactions lie across each other and commit in any order, so that marks
come out of the order of their ids; marks are worked off and segments are built in between, while time goes on. `SEED=…` begins at
another; `CASES=…` is how many the gate lives through. Builds run on a thread of their own, so a history is not told by its seed alone.
"""

import os
from collections import Counter

import pytest

from tests.support.deeds import DEEDS
from tests.support.histories import lived

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("acme")]
SEED = int(os.environ.get("SEED", "1"))
CASES = int(os.environ.get("CASES", "300"))
PER_WORLD = 5  # histories in one world, one after the other
STEPS = 24


def _live_through(seed: int, histories: int, many: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    with lived(seed, monkeypatch) as history:
        for _ in range(histories):
            history.begin(many)
            history.live(STEPS)
            history.end()
            history.compare()
        print(f"\nworld {seed}: {sum(history.done.values())} deeds, {history.gave_in} gave in; {history.done}")
        return history.done


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_after_a_history_of_many_hands_segments_hold_whom_a_rebuild_finds(seed, monkeypatch):
    assert _live_through(seed, 1, 6, monkeypatch)


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(SEED + 100, SEED + 100 + CASES // PER_WORLD))
def test_after_hundreds_of_histories_segments_hold_whom_a_rebuild_finds(seed, monkeypatch):
    assert _live_through(seed, PER_WORLD, 4, monkeypatch)


@pytest.mark.gate
def test_everything_that_is_done_to_people_happens_in_them(monkeypatch):
    done: Counter[str] = Counter()
    for seed in range(SEED + 50, SEED + 53):
        with lived(seed, monkeypatch) as history:
            history.begin(2)
            history.live(400)
            history.end()
            history.compare()
            done += history.done
    assert {deed.__name__ for deed in DEEDS} <= set(done), "some deed is always refused: it proves nothing"
