"""Who was in the finished broadcast, with which end: the scenario's sums exactly, and its buyers on both sides. Pure planning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from demo.scenarios.model import Outcome


@dataclass(frozen=True)
class Candidate:
    """Somebody who may be in the audience. bought: has an order in the window after the broadcast."""

    contact: int
    follow: int
    guide: int
    bought: bool


@dataclass(frozen=True)
class Planned:
    """One target: state and reason as in campaigns.states; guide 0 for people outside any unit."""

    candidate: Candidate
    state: str
    reason: str = ""
    in_unit: bool = False


def plan_audience(
    pool: Sequence[Candidate], opted_out: Sequence[Candidate], ended: Sequence[Candidate], outcome: Outcome, rng: Random
) -> list[Planned]:
    """Every target of the broadcast. pool: friends who may be sent to. Raises ValueError when the people do not suffice."""
    by_guide: dict[int, list[Candidate]] = {}
    for candidate in rng.sample(list(pool), len(pool)):
        by_guide.setdefault(candidate.guide, []).append(candidate)
    guides = sorted(by_guide, key=lambda guide: (-len(by_guide[guide]), guide))[: outcome.guides]
    if len(guides) < outcome.guides:
        raise ValueError(f"only {len(guides)} guides have customers")
    rng.shuffle(guides)
    confirming, silent = guides[: outcome.confirmed_guides], guides[outcome.confirmed_guides :]
    sizes = _sizes(confirming, by_guide, outcome.confirmed) | _sizes(silent, by_guide, outcome.expired)
    units = _fill_units(sizes, by_guide, outcome.planned_buyers)
    taken = {candidate.contact for unit in units.values() for candidate in unit}
    rest = [candidate for candidate in pool if candidate.contact not in taken]
    rng.shuffle(rest)
    planned = [*_confirmed(confirming, units, outcome), *_silent(silent, units)]
    planned += _holdout(rest, outcome)
    used = {one.candidate.contact for one in planned}
    planned += _excluded([one for one in rest if one.contact not in used], opted_out, ended, outcome)
    return planned


def _sizes(guides: Sequence[int], by_guide: Mapping[int, list[Candidate]], total: int) -> dict[int, int]:
    """How many of each guide's customers, in proportion, at least one, summing to the total."""
    capacity = {guide: len(by_guide[guide]) for guide in guides}
    if sum(capacity.values()) < total:
        raise ValueError(f"{sum(capacity.values())} customers for {total} places")
    share = total / sum(capacity.values())
    sizes = {guide: max(1, int(capacity[guide] * share)) for guide in guides}
    missing = total - sum(sizes.values())
    while missing:
        for guide in guides:
            step = 1 if missing > 0 else -1
            if missing and 1 <= sizes[guide] + step <= capacity[guide]:
                sizes[guide] += step
                missing -= step
    return sizes


def _fill_units(
    sizes: Mapping[int, int], by_guide: Mapping[int, list[Candidate]], buyers: int
) -> dict[int, list[Candidate]]:
    """Fill each unit with people who did not buy, then swap in buyers until the sum is right."""
    units: dict[int, list[Candidate]] = {}
    for guide, size in sizes.items():
        ordered = sorted(by_guide[guide], key=lambda one: one.bought)
        units[guide] = ordered[:size]
    missing = buyers - sum(one.bought for unit in units.values() for one in unit)
    while missing > 0:
        swapped = 0
        for guide, unit in units.items():
            inside = {one.contact for one in unit}
            buyer = next((one for one in by_guide[guide] if one.bought and one.contact not in inside), None)
            plain = next((one for one in unit if not one.bought), None)
            if missing and buyer and plain:
                unit[unit.index(plain)] = buyer
                missing, swapped = missing - 1, swapped + 1
        if not swapped:
            raise ValueError(f"{missing} buyers are missing for the broadcast")
    if missing < 0:
        raise ValueError(f"{-missing} people too many bought in the window")
    return units


def _confirmed(guides: Sequence[int], units: Mapping[int, list[Candidate]], outcome: Outcome) -> list[Planned]:
    """Units whose guide pressed 发送: sent, save those WeCom refused; who bought was sent to."""
    people = sorted((one for guide in guides for one in units[guide]), key=lambda one: one.bought)
    ends = ["not_friend"] * outcome.not_friend + ["quota"] * outcome.quota
    # Spread the refusals over the units instead of taking the first guide's people.
    step = max(1, sum(not one.bought for one in people) // len(ends))
    reasons = {people[position * step].contact: reason for position, reason in enumerate(ends)}
    return [
        Planned(one, "failed" if one.contact in reasons else "sent", reasons.get(one.contact, ""), in_unit=True)
        for one in people
    ]


def _silent(guides: Sequence[int], units: Mapping[int, list[Candidate]]) -> list[Planned]:
    return [Planned(one, "expired", "deadline", in_unit=True) for guide in guides for one in units[guide]]


def _holdout(rest: Sequence[Candidate], outcome: Outcome) -> list[Planned]:
    buyers = [one for one in rest if one.bought][: outcome.holdout_buyers]
    others = [one for one in rest if not one.bought][: outcome.holdout - outcome.holdout_buyers]
    if len(buyers) + len(others) < outcome.holdout:
        raise ValueError("too few people are left for the holdout")
    return [Planned(one, "holdout") for one in (*buyers, *others)]


def _excluded(
    rest: Sequence[Candidate], opted_out: Sequence[Candidate], ended: Sequence[Candidate], outcome: Outcome
) -> list[Planned]:
    sources = {"opt_out": list(opted_out), "not_friend": list(ended)}
    free = list(rest)
    planned: list[Planned] = []
    for reason, count in outcome.excluded.items():
        source = sources.get(reason, free)
        if len(source) < count:
            raise ValueError(f"only {len(source)} of {count} people for {reason}")
        planned += [Planned(source.pop(), "excluded", reason) for _ in range(count)]
    return planned
