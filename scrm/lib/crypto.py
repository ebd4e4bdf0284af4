"""Encryption of columns of class secret, with key rotation: the first of FIELD_KEYS encrypts, all decrypt."""

import hashlib
import secrets
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key.encode()) for key in keys])


def _current() -> MultiFernet:
    return _cipher(tuple(settings.FIELD_KEYS))


def encrypt(text: str) -> str:
    """Ciphertext (url-safe base64) of a text under the newest key."""
    return _current().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """The text again. Raises ValueError when no key opens it."""
    try:
        return _current().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise ValueError("no key in FIELD_KEYS opens this value") from error


def rotate(token: str) -> str:
    """The same text under the newest key. Raises ValueError when no key opens it."""
    try:
        return _current().rotate(token.encode()).decode()
    except InvalidToken as error:
        raise ValueError("no key in FIELD_KEYS opens this value") from error


def is_newest(token: str) -> bool:
    """Whether the newest key opens a ciphertext, so that the older ones are not needed for it."""
    try:
        _cipher(tuple(settings.FIELD_KEYS[:1])).decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def random_token(bytes_of_entropy: int = 32) -> str:
    """An unguessable url-safe token."""
    return secrets.token_urlsafe(bytes_of_entropy)


def token_digest(token: str) -> str:
    """What is stored of a token that must be recognised but never shown again. Tokens carry their own entropy."""
    return hashlib.sha256(token.encode()).hexdigest()


class SecretField(models.TextField):  # type: ignore[type-arg]  # Django gives it no parameters at run time
    """A text column that is ciphertext in the database and plain text in Python. Cannot be searched."""

    def get_prep_value(self, value: Any) -> Any:
        text = super().get_prep_value(value)
        return text if text in (None, "") else encrypt(text)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return value if value in (None, "") else decrypt(value)
