"""What a carrier can carry, and why not."""

from types import SimpleNamespace

import pytest

from campaigns.rendering import check_message, longest_bytes, render
from scrm.lib.errors import UserError

GUIDE = SimpleNamespace(name="林小雅")
STORE = SimpleNamespace(name="静安寺店", phone="021-1", address="")


def why(text, carrier, attachments=()):
    with pytest.raises(UserError) as refused:
        check_message(text, list(attachments), carrier)
    return refused.value.message


@pytest.mark.parametrize("carrier", ["mass", "group", "moment"])
def test_mass_messages_cannot_name_the_customer(carrier):
    assert "一个任务只有一份文字" in why("{客户昵称}您好", carrier)


@pytest.mark.parametrize("carrier", ["welcome", "one_to_one"])
def test_messages_to_one_person_can(carrier):
    check_message("{客户昵称}您好,我是{导购名}", [], carrier)


def test_only_a_group_welcome_knows_the_nickname_placeholder():
    check_message("欢迎 %NICKNAME%!", [], "group_welcome")
    assert "只有入群欢迎语能用" in why("欢迎 %NICKNAME%!", "mass")


def test_unknown_and_not_yet_filled_variables_are_refused():
    assert "没有这个变量" in why("{价格}", "mass")
    assert "还没有数据" in why("{门店群码}", "mass")


def test_bytes_count_not_characters():
    check_message("好" * 1333, [], "mass")
    assert "字节" in why("好" * 1334, "mass")
    assert longest_bytes("{导购名}") == 192
    assert "字节" in why("好" * 1300 + "{导购名}", "mass")


def test_nothing_to_send_and_too_much_to_send_are_refused():
    link = {"msgtype": "link", "link": {"title": "t", "url": "https://x.example"}}
    assert "写点文字" in why("  ", "mass")
    check_message("", [link] * 9, "mass")
    assert "最多 9 个" in why("", "mass", [link] * 10)
    assert "128" in why("", "mass", [{"msgtype": "link", "link": {"title": "好" * 43, "url": "https://x.example"}}])


def test_values_are_filled_in_and_unknown_ones_left_empty():
    assert render("{门店名} {门店电话}{门店地址} {导购名}", guide=GUIDE, store=STORE) == "静安寺店 021-1 林小雅"
    assert render("{门店名}", guide=GUIDE, store=None) == ""
    assert render("{别的}", guide=GUIDE, store=STORE) == "{别的}"
