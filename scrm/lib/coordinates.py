"""Chinese map coordinates: WGS-84 (GPS), GCJ-02 (maps licensed in China), BD-09 (Baidu).

GCJ-02 moves WGS-84 by some hundred metres within China and by nothing outside; BD-09 moves GCJ-02 once more. The offsets are
the ones every open implementation uses (Krasovsky 1940 ellipsoid); their inverses are found by iteration, to a millimetre.
"""

from collections.abc import Callable
from math import atan2, cos, hypot, pi, sin, sqrt

SYSTEMS = ("gcj02", "wgs84", "bd09")
Point = tuple[float, float]  # latitude, longitude

_SEMI_MAJOR, _ECCENTRICITY_SQUARED = 6378245.0, 0.00669342162296594323
_BAIDU_TURNS = pi * 3000 / 180
_SOUTH, _NORTH, _WEST, _EAST = 0.8293, 55.8271, 72.004, 137.8347  # the box inside which points are moved
_ROUNDS, _CLOSE = 20, 1e-9  # degrees; a tenth of a millimetre


def to_gcj02(latitude: float, longitude: float, system: str) -> Point:
    """The point in GCJ-02. Raises KeyError for a system that is none of SYSTEMS."""
    return _TO_GCJ02[system]((latitude, longitude))


def from_gcj02(latitude: float, longitude: float, system: str) -> Point:
    """The GCJ-02 point in another system. Raises KeyError for a system that is none of SYSTEMS."""
    return _FROM_GCJ02[system]((latitude, longitude))


def is_moved(latitude: float, longitude: float) -> bool:
    """Whether GCJ-02 differs from WGS-84 there."""
    return _SOUTH <= latitude <= _NORTH and _WEST <= longitude <= _EAST


def _same(point: Point) -> Point:
    return point


def _from_wgs84(point: Point) -> Point:
    latitude, longitude = point
    if not is_moved(latitude, longitude):
        return point
    x, y = longitude - 105, latitude - 35
    angle = latitude * pi / 180
    flattening = 1 - _ECCENTRICITY_SQUARED * sin(angle) ** 2
    metres = _SEMI_MAJOR * pi / 180
    north = _north(x, y) / (metres * (1 - _ECCENTRICITY_SQUARED) / (flattening * sqrt(flattening)))
    east = _east(x, y) / (metres / sqrt(flattening) * cos(angle))
    return latitude + north, longitude + east


def _waves(value: float, *terms: tuple[float, float]) -> float:
    """Sum of amplitude · sin(value · π / period), times two thirds."""
    return sum(amplitude * sin(value * pi / period) for amplitude, period in terms) * 2 / 3


def _north(x: float, y: float) -> float:
    straight = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x))
    return straight + _waves(x, (20, 1 / 6), (20, 1 / 2)) + _waves(y, (20, 1), (40, 3), (160, 12), (320, 30))


def _east(x: float, y: float) -> float:
    straight = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x))
    return straight + _waves(x, (20, 1 / 6), (20, 1 / 2), (20, 1), (40, 3), (150, 12), (300, 30))


def _to_bd09(point: Point) -> Point:
    y, x = point
    length = hypot(x, y) + 0.00002 * sin(y * _BAIDU_TURNS)
    angle = atan2(y, x) + 0.000003 * cos(x * _BAIDU_TURNS)
    return length * sin(angle) + 0.006, length * cos(angle) + 0.0065


def _inverse(forward: Callable[[Point], Point]) -> Callable[[Point], Point]:
    """Move a guess by what it misses until it misses nothing: the offsets change far more slowly than the points."""

    def back(point: Point) -> Point:
        guess = point
        for _round in range(_ROUNDS):
            reached = forward(guess)
            miss = point[0] - reached[0], point[1] - reached[1]
            guess = guess[0] + miss[0], guess[1] + miss[1]
            if max(abs(miss[0]), abs(miss[1])) < _CLOSE:
                break
        return guess

    return back


_TO_GCJ02: dict[str, Callable[[Point], Point]] = {
    "gcj02": _same, "wgs84": _from_wgs84, "bd09": _inverse(_to_bd09),
}  # fmt: skip
_FROM_GCJ02: dict[str, Callable[[Point], Point]] = {
    "gcj02": _same, "wgs84": _inverse(_from_wgs84), "bd09": _to_bd09,
}  # fmt: skip
