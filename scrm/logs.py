"""Log lines that say which tenant, request and task they belong to."""

import logging
import re
from typing import Any

from celery import current_task
from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

from scrm.lib.where import request_id, scope_name

# What WeCom takes as query parameters: an address in a message or a traceback would give it away.
_SECRETS = re.compile(
    r"\b((?:\w+_)?access_token|corpsecret|provider_secret|suite_secret|suite_ticket|(?:permanent|auth)_code|ticket)=[^&\s\"'\\]+"
)
# Links that let in whoever holds them.
_OPEN_LINK = re.compile(r"(/welcome/|/bridge/checklist/)[^/?\s\"'\\]+")


def redact(line: str) -> str:
    """The line without the values of secrets in addresses."""
    return _OPEN_LINK.sub(r"\1***", _SECRETS.sub(r"\1=***", line))


class ContextFilter(logging.Filter):
    """Adds tenant, request_id and task_id to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.tenant = scope_name.get()
        record.request_id = request_id.get()
        request = getattr(current_task, "request", None) if current_task else None
        record.task_id = getattr(request, "id", "") or ""
        return True


class JsonFormatter(BaseJsonFormatter):
    """One JSON object a line: time, level, logger, message, tenant, request_id, task_id and what the caller added."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s %(tenant)s %(request_id)s %(task_id)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            json_ensure_ascii=False,
        )

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class TextFormatter(logging.Formatter):
    """For people at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
