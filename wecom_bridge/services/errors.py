"""What is kept of a failure in a column that support may read: never the data it happened to."""

import traceback

from django.db import Error

from wecom_bridge.gateway import CallError

LONGEST = 500


def in_words(error: BaseException) -> str:
    """WeCom's own words; of the database the kind and SQLSTATE, of our own mistakes the kind and the place.

    The messages of the latter two may quote rows (Key (external_userid)=(wm…) already exists), which are personal.
    """
    if isinstance(error, CallError):
        return str(error)[:LONGEST]
    kind = type(error).__name__
    if isinstance(error, Error):
        sqlstate = getattr(error.__cause__, "pgcode", None)
        return f"{kind} {sqlstate}" if sqlstate else kind
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} ({frames[-1].name}:{frames[-1].lineno})"[:LONGEST] if frames else kind
