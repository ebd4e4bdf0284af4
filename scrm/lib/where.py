"""Where the running code is: which scope, which request. For logs and names; importable before the apps are loaded."""

from contextvars import ContextVar

scope_name: ContextVar[str] = ContextVar("scope_name", default="public")
request_id: ContextVar[str] = ContextVar("request_id", default="")
