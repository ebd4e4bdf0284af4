import json

import pytest

from benchmarks import __main__ as runner
from benchmarks import harness
from benchmarks.harness import Benchmark, Result, Unfair


class Steady(Benchmark):
    """Twice the yardstick, with one round disturbed; remembers who went first."""

    name, goal, baseline, scale, quick_scale = "steady", 2.0, "half of it", 1000, 10

    def prepare(self):
        self.calls = self.detail["calls"] = []

    def measure_subject(self, round_number):
        self.calls.append(f"s{round_number}")
        return 20.0 if round_number == 3 else 2.0

    def measure_baseline(self, round_number):
        self.calls.append(f"b{round_number}")
        return 1.0


def test_the_median_ratio_is_judged_and_a_disturbed_round_shows_as_spread():
    result = harness.run(Steady, quick=False)

    assert (result.ratio, result.ok) == (2.0, True)
    assert result.detail["rounds"] == 5
    assert result.detail["spread"] == 9.0
    assert result.detail["scale"] == 1000


def test_rounds_are_interleaved_and_the_sides_take_turns_at_going_first():
    calls = harness.run(Steady, quick=False).detail["calls"]

    assert calls == ["b-1", "s-1", "s0", "b0", "b1", "s1", "s2", "b2", "b3", "s3", "s4", "b4"]


@pytest.mark.parametrize(
    ("better", "goal", "ok"), [("lower", 1.9, False), ("higher", 1.9, True), ("higher", 2.1, False)]
)
def test_the_goal_is_a_ceiling_or_a_floor(better, goal, ok, monkeypatch):
    monkeypatch.setattr(Steady, "better", better)
    monkeypatch.setattr(Steady, "goal", goal)

    assert harness.run(Steady, quick=False).ok is ok


def test_different_rows_give_no_ratio_and_clean_up(monkeypatch):
    closed = []

    def differ(self):
        raise Unfair("rows differ")

    monkeypatch.setattr(Steady, "compare", differ)
    monkeypatch.setattr(Steady, "close", lambda self: closed.append(True))

    with pytest.raises(Unfair, match="rows differ"):
        harness.run(Steady, quick=False)
    assert closed == [True]


def test_a_round_that_measured_nothing_gives_no_ratio():
    with pytest.raises(Unfair):
        harness.summarise(Steady, Steady(1), [(1.0, 0.0)])


def test_results_of_other_benchmarks_stay(tmp_path):
    path = tmp_path / "results.json"
    runner.keep([Result("b", 1.0, 2.0, True, {"scale": 1}), Result("a", 3.0, 2.0, False, {"scale": 1})], path)
    runner.keep([Result("a", 1.5, 2.0, True, {"scale": 1})], path)

    rows = json.loads(path.read_text())
    assert [(row["name"], row["ratio"], row["ok"]) for row in rows] == [("a", 1.5, True), ("b", 1.0, True)]
    assert all(set(row) == {"name", "ratio", "goal", "ok", "detail"} for row in rows)


def test_a_name_that_is_none_is_answered_with_those_that_are(capsys):
    assert runner.main(["nonsense"]) == 2
    assert "no benchmark called nonsense" in capsys.readouterr().err
