"""A call whose answer is read into a value before it counts as an answer."""

from collections.abc import Callable
from typing import Any, TypeVar

from wecom_bridge.gateway.core import Core

T = TypeVar("T")


class Asking(Core):
    """For the families of `externalcontact/`: a POST by WeCom's own parameter names."""

    def _ask(self, path: str, body: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
        """Parameters that are None are left out. An answer that cannot be read is a broken answer: CallError, executed_maybe."""
        return self._call(path, lambda: read(self.client.customers.send(path, body)))
