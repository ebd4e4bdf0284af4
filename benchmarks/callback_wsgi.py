"""The site as gunicorn serves it, for `callback_ingest`. With BENCH_NO_SQL=1 the callback view builds its row and writes nothing."""

import os

from scrm.wsgi import application

if os.environ.get("BENCH_NO_SQL") == "1":
    from wecom_bridge.callbacks import nudges, rows

    rows.store = lambda tenant, row: None
    nudges.note = lambda tenant_id, lane, due: None

__all__ = ["application"]
