"""Ids that carry their own index, so that a million of them need no table."""

import base64
import binascii
import hashlib

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
LETTERS = bytes(ALPHABET[byte % len(ALPHABET)] for byte in range(256))


class IdMint:
    """Makes WeCom-like ids (`prefix` + 30 URL-safe characters, or `length`) from a number and reads the number back."""

    def __init__(self, key: str, kind: str, *, length: int = 30) -> None:
        self._key = hashlib.blake2b(f"{key}/{kind}".encode(), digest_size=32).digest()
        self._length, self._raw = length, length * 6 // 8

    def body(self, number: int) -> str:
        """URL-safe characters standing for `number` (below 2**32)."""
        plain = number.to_bytes(4, "big")
        mac = hashlib.blake2b(plain, key=self._key, digest_size=self._raw - 4).digest()
        masked = number ^ int.from_bytes(mac[:4], "big")
        return base64.urlsafe_b64encode(masked.to_bytes(4, "big") + mac).decode().rstrip("=")

    def number(self, body: str) -> int | None:
        """The number `body` was made from, or None for an id of someone else."""
        if len(body) != self._length:
            return None
        try:
            raw = base64.urlsafe_b64decode(body + "==")
        except (binascii.Error, ValueError):
            return None
        if len(raw) != self._raw:
            return None
        number = int.from_bytes(bytes(a ^ b for a, b in zip(raw[:4], raw[4:], strict=False)), "big")
        return number if self.body(number) == body else None


def digest_text(*parts: object, length: int = 32) -> str:
    """A deterministic URL-safe text of `length` characters (at most 80)."""
    raw = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=60).digest()
    return base64.urlsafe_b64encode(raw).decode()[:length]


def digest_letters(*parts: object, length: int = 32) -> str:
    """A deterministic text of letters and digits only, for secrets, tokens and keys."""
    raw = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=64).digest()
    return raw[:length].translate(LETTERS).decode()
