"""Phone numbers as one key: E.164, whatever a guide typed."""

import re
from functools import lru_cache

import phonenumbers

_MAINLAND_MOBILE = re.compile(r"1[3-9]\d{9}")
_NOISE = re.compile(r"[\s\-()().·—]+")


@lru_cache(maxsize=4096)
def normalise_phone(raw: str) -> str:
    """E.164 (+8613812345678) of what was typed, or "" when it is no possible number. Mainland numbers need no prefix."""
    text = _NOISE.sub("", raw)
    if _MAINLAND_MOBILE.fullmatch(text):
        return "+86" + text
    if not text or len(text) > 24:
        return ""
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number(number):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def show_phone(phone: str) -> str:
    """As people here write it: without +86."""
    return phone.removeprefix("+86")
