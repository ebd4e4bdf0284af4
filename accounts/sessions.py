"""Django's database sessions; each schema has its own table, so a cookie of one tenant means nothing to another.

The table holds a digest of the key: who reads a row, a dump or a page cannot make a cookie of it.
"""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from scrm.lib import clock
from scrm.lib.crypto import token_digest
from tenants.context import NoScope, current_scope


def stored_key(session_key: str) -> str:
    """What is kept of a browser's session key, in Django's column of 40 characters."""
    return token_digest(session_key)[:40]


class SessionStore(DatabaseStore):
    def __init__(self, session_key: str | None = None) -> None:
        if current_scope() is None:
            raise NoScope("a session was opened outside of any scope")
        super().__init__(session_key)

    def exists(self, session_key: str) -> bool:
        return super().exists(stored_key(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(stored_key(key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = stored_key(row.session_key)
        return row

    def _get_session_from_db(self) -> Any:
        rows = self.model.objects.filter(session_key=stored_key(self.session_key or ""), expire_date__gt=clock.wall())
        row = rows.first()
        if row is None:
            self._session_key = None
        return row
