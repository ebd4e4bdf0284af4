"""WeCom's callback crypto: AES-256-CBC with the key's head as IV, PKCS#7 to 32 bytes, SHA-1 over sorted parts."""

import base64
import binascii
import hashlib
import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 32


class CryptoError(ValueError):
    """A text that this key did not make."""


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """`msg_signature`: lower-case hex of the four parts sorted and joined."""
    return hashlib.sha1("".join(sorted([token, timestamp, nonce, encrypted])).encode()).hexdigest()


def _cipher(encoding_aes_key: str) -> Cipher:
    key = base64.b64decode(encoding_aes_key + "=")
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))


def encrypt(encoding_aes_key: str, message: bytes, receive_id: str) -> str:
    """Base64 of random(16) + length(4, big-endian) + message + receive id, padded and encrypted."""
    plain = os.urandom(16) + len(message).to_bytes(4, "big") + message + receive_id.encode()
    pad = BLOCK - len(plain) % BLOCK
    encryptor = _cipher(encoding_aes_key).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode()


def decrypt(encoding_aes_key: str, encrypted: str) -> tuple[bytes, str]:
    """(message, receive id). Raises CryptoError for anything this key did not encrypt."""
    try:
        raw = base64.b64decode(encrypted, validate=True)
        decryptor = _cipher(encoding_aes_key).decryptor()
        plain = decryptor.update(raw) + decryptor.finalize()
    except (binascii.Error, ValueError) as error:
        raise CryptoError("not a ciphertext") from error
    if not plain or not 1 <= plain[-1] <= BLOCK:
        raise CryptoError("bad padding")
    plain = plain[: -plain[-1]]
    length = int.from_bytes(plain[16:20], "big")
    if len(plain) < 20 + length:
        raise CryptoError("bad length")
    return plain[20 : 20 + length], plain[20 + length :].decode(errors="replace")
