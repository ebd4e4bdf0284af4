"""WeCom's callback envelope: signature, AES, receiveid (platform reference A.1).

Written here rather than taken from wechatpy, whose version compares signatures with `!=`, trusts the padding and the
length it decrypts, and lets a truncated body surface as IndexError.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 32  # PKCS#7 to 32 bytes, not to AES's 16
HEAD = 20  # 16 random bytes and the length


class Refused(Exception):
    """A callback that must not be stored: the HTTP status it gets, and the cause for the log."""

    def __init__(self, status: int, cause: str) -> None:
        super().__init__(cause)
        self.status = status
        self.cause = cause


@dataclass(frozen=True)
class Keys:
    """What opens the envelopes of one callback address."""

    token: str
    aes_key: bytes
    corp_id: str


def decode_key(encoding_aes_key: str) -> bytes:
    """The 32 bytes of an EncodingAESKey of 43 characters. Raises ValueError for any other text."""
    if len(encoding_aes_key) != 43:
        raise ValueError("EncodingAESKey has 43 characters")
    try:
        key = base64.b64decode(encoding_aes_key + "=")
    except binascii.Error as error:
        raise ValueError("EncodingAESKey is not base64") from error
    if len(key) != 32:
        raise ValueError("EncodingAESKey does not hold 32 bytes")
    return key


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """sha1 over the four texts in byte order, lower-case hex."""
    parts = sorted(text.encode() for text in (token, timestamp, nonce, encrypted))
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).hexdigest()


def open_envelope(keys: Keys, *, given: str, timestamp: str, nonce: str, encrypted: str) -> bytes:
    """The plaintext. Raises Refused: 403 for a wrong signature, key or receiver, 400 for what is no ciphertext."""
    wanted = signature(keys.token, timestamp, nonce, encrypted)
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise Refused(403, "wrong signature")
    try:
        sealed = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "not base64") from None
    if not sealed or len(sealed) % 16:
        raise Refused(400, "truncated ciphertext")
    message, receiver = _unpack(_decrypt(keys.aes_key, sealed))
    if not hmac.compare_digest(receiver, keys.corp_id.encode()):
        raise Refused(403, "meant for another corp")
    return message


def _decrypt(key: bytes, sealed: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    return decryptor.update(sealed) + decryptor.finalize()


def _unpack(plain: bytes) -> tuple[bytes, bytes]:
    """(message, receiveid). A wrong key shows as padding or a length that cannot be."""
    padding = plain[-1]
    if not 1 <= padding <= BLOCK or padding > len(plain) - HEAD or plain[-padding:] != bytes([padding]) * padding:
        raise Refused(403, "wrong key")
    body = plain[:-padding]
    size = int.from_bytes(body[16:HEAD], "big")
    if size > len(body) - HEAD:
        raise Refused(403, "wrong key")
    return body[HEAD : HEAD + size], body[HEAD + size :]
