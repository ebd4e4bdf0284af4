"""Callback envelopes as WeCom makes them, for testing our own door (platform reference A.1)."""

import base64
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from wecom_bridge.callbacks.envelope import BLOCK, Keys, signature


@dataclass(frozen=True)
class Sealed:
    """A plaintext, encrypted and signed."""

    encrypted: str
    query: dict[str, str]

    @property
    def body(self) -> bytes:
        """The envelope of a POST."""
        return (
            f"<xml><ToUserName><![CDATA[]]></ToUserName><Encrypt><![CDATA[{self.encrypted}]]></Encrypt></xml>".encode()
        )


def seal(keys: Keys, plain: bytes, *, timestamp: str, nonce: str) -> Sealed:
    """Encrypt for the receiver of `keys`, and sign. The ciphertext holds a plus, which a careless proxy turns into a blank."""
    encrypted = ""
    while "+" not in encrypted:
        encrypted = _encrypt(keys, plain)
    given = signature(keys.token, timestamp, nonce, encrypted)
    return Sealed(encrypted, {"msg_signature": given, "timestamp": timestamp, "nonce": nonce})


def _encrypt(keys: Keys, plain: bytes) -> str:
    text = os.urandom(16) + len(plain).to_bytes(4, "big") + plain + keys.corp_id.encode()
    padding = BLOCK - len(text) % BLOCK
    encryptor = Cipher(algorithms.AES(keys.aes_key), modes.CBC(keys.aes_key[:16])).encryptor()
    return base64.b64encode(encryptor.update(text + bytes([padding]) * padding) + encryptor.finalize()).decode()
