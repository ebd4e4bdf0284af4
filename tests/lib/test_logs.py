"""No secret of WeCom reaches a log line."""

import json
import logging
import logging.config

import pytest
from django.conf import settings

from scrm.logs import redact

ADDRESS = "https://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=ww1&corpsecret=s3cr3t-_x&debug=1"
CALL = "/cgi-bin/user/get?access_token=tok_en-1&userid=lin"


@pytest.mark.parametrize("name", ["json", "text"])
def test_a_message_and_a_traceback_are_redacted(name):
    configuration = logging.config.DictConfigurator(settings.LOGGING)
    formatter = configuration.configure_formatter(dict(settings.LOGGING["formatters"][name]))
    try:
        raise ValueError(f"Max retries exceeded with url: {CALL}")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "GET %s", (ADDRESS,), (type(error), error, error.__traceback__)
        )
    for key in ("tenant", "request_id", "task_id"):
        setattr(record, key, "-")

    line = formatter.format(record)

    assert "s3cr3t" not in line and "tok_en" not in line
    assert "corpsecret=***&debug=1" in line and "access_token=***&userid=lin" in line
    if name == "json":
        assert json.loads(line)["tenant"] == "-"


def test_what_is_no_secret_stays():
    for line in ("corpid=ww1&agentid=7", "errcode=40014 invalid access_token", "the access token = nothing"):
        assert redact(line) == line
    assert redact("suite_access_token=a&x=1") == "suite_access_token=***&x=1"


@pytest.mark.parametrize("page", ["/welcome/", "/bridge/checklist/"])
def test_an_address_that_lets_in_whoever_holds_it_is_not_told(page):
    assert redact(f"Not Found: {page}7.s1gned-by_us/?part=steps") == f"Not Found: {page}***/?part=steps"


@pytest.mark.parametrize("name", ["urllib3", "requests", "wechatpy"])
def test_libraries_that_log_addresses_are_quiet_whatever_the_level(name):
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        assert not logging.getLogger(f"{name}.connectionpool").isEnabledFor(logging.INFO)
    finally:
        root.setLevel(before)
