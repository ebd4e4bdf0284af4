"""Deterministic drawing: numbers from a key, and permutations that can be asked at any point."""

import hashlib
from math import gcd


def draw(*parts: object) -> int:
    """A number below 2**64 that depends on `parts` alone."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest(), "big")


class Shuffle:
    """A fixed rearrangement of 0..size-1, computed and not stored: `shuffle(i)` is where `i` lands."""

    def __init__(self, size: int, *key: object) -> None:
        self.size = max(size, 1)
        self._step = max(1, int(self.size * 0.618) + draw(*key, "step") % max(self.size // 8, 1)) % self.size or 1
        while gcd(self._step, self.size) != 1:
            self._step += 1
        self._shift = draw(*key, "shift") % self.size

    def __call__(self, position: int) -> int:
        return (position * self._step + self._shift) % self.size


def apportion(total: int, weights: list[int]) -> list[int]:
    """Split `total` into whole parts near `weights` that add up to it exactly (largest remainder)."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda n: (-(total * weights[n] % whole), n))
    for position in by_remainder[: total - sum(parts)]:
        parts[position] += 1
    return parts
