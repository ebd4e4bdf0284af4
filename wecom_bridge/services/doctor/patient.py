"""The corp under examination: what several checks want to know is asked once."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar, cast

from tenants.context import current_tenant
from tenants.models import CallbackRoute
from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError, Gateway, flows, gateway_for
from wecom_bridge.gateway.hello import Hello, say_hello
from wecom_bridge.models import Corp, CorpCredential, DoctorFinding
from wecom_bridge.shapes.app_messages import Agent

T = TypeVar("T")


class Patient:
    """A corp with its credential, and the answers of WeCom so far. A refused question is not asked again."""

    def __init__(self, corp: Corp) -> None:
        self.corp = corp
        self._answers: dict[str, Any] = {}

    @cached_property
    def credential(self) -> CorpCredential | None:
        return CorpCredential.objects.filter(corp=self.corp, kind__in=flows.kinds()).order_by("id").first()

    @cached_property
    def gateway(self) -> Gateway:
        return gateway_for(self.corp)

    @cached_property
    def hello(self) -> Hello:
        return say_hello()

    @cached_property
    def before(self) -> dict[str, DoctorFinding]:
        """key → what the last examination found."""
        return {row.key: row for row in DoctorFinding.objects.filter(corp=self.corp)}

    @cached_property
    def route(self) -> CallbackRoute | None:
        """The corp's callback address."""
        if self.credential is None:
            return None
        return CallbackRoute.objects.filter(tenant=current_tenant(), credential_pk=self.credential.pk).first()

    def ask(self, name: str, call: Callable[[], T]) -> T:
        """The answer of a call, asked once under its name. Raises CallError, the same one each time."""
        if name not in self._answers:
            try:
                self._answers[name] = call()
            except CallError as error:
                self._answers[name] = error
        if isinstance(self._answers[name], CallError):
            raise self._answers[name]
        return cast(T, self._answers[name])

    def serving(self) -> list[str]:
        """userids with 客户联系. Raises CallError."""
        return self.ask("serving", lambda: self.gateway.get_follow_users())

    def agent(self) -> Agent:
        """agent/get of our own app. Raises CallError."""
        return self.ask("agent", lambda: self.gateway.get_agent())

    def departments(self) -> list[c.DepartmentInfo]:
        """Visible departments. Raises CallError."""
        return self.ask("departments", lambda: self.gateway.get_departments())

    def tag_groups(self) -> list[c.TagGroupInfo]:
        """All corp tags. Raises CallError."""
        return self.ask("tags", lambda: self.gateway.get_tag_groups())

    def customers(self) -> list[dict[str, Any]]:
        """The first page of one serving member's customers, as WeCom gave it. Raises CallError."""
        first = self.serving()[0]
        return self.ask("customers", lambda: self.gateway.get_customer_page(first)[0])
