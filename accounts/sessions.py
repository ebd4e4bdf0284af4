"""Django's database sessions; each schema has its own table, so a cookie of one tenant means nothing to another."""

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from tenants.context import NoScope, current_scope


class SessionStore(DatabaseStore):
    def __init__(self, session_key: str | None = None) -> None:
        if current_scope() is None:
            raise NoScope("a session was opened outside of any scope")
        super().__init__(session_key)
