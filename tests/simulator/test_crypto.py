import pytest
from wechatpy.work.crypto import WeChatCrypto

from simulator import crypto

TOKEN, KEY = "QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
CORP = "wx5823bf96d3bd56c7"
ENCRYPTED = (
    "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvu"
    "JTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwG"
    "c2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9"
    "EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0"
    "lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q=="
)


def test_the_official_vector_is_signed_and_read():
    assert crypto.signature(TOKEN, "1409659813", "1372623149", ENCRYPTED) == "477715d11cdb4164915debcba66cb864d751f3e6"
    message, receive_id = crypto.decrypt(KEY, ENCRYPTED)
    assert receive_id == CORP
    assert len(message) == 284
    assert b"<MsgId>4561255354251345929</MsgId>" in message
    assert b"<AgentID>218</AgentID>" in message


@pytest.mark.parametrize("size", range(60, 96))
def test_every_padding_length_survives_the_round_trip(size):
    message = ("面" * (size // 3)).encode()
    assert crypto.decrypt(KEY, crypto.encrypt(KEY, message, CORP)) == (message, CORP)


def test_another_library_reads_what_it_writes():
    encrypted = crypto.encrypt(KEY, "<xml>你好</xml>".encode(), CORP)
    sign = crypto.signature(TOKEN, "1", "2", encrypted)
    body = f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    assert WeChatCrypto(TOKEN, KEY, CORP).decrypt_message(body, sign, "1", "2") in (
        "<xml>你好</xml>",
        "<xml>你好</xml>".encode(),
    )


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", "A" * 64])
def test_a_foreign_text_is_refused(text):
    with pytest.raises(crypto.CryptoError):
        crypto.decrypt(KEY, text)
