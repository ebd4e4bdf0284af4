"""Several connections whose transactions lie across each other: each does what it is told to, step by step, and holds what it wrote."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from django.db import OperationalError, connection, connections, transaction

from scrm.lib.errors import UserError
from tenants.context import tenant_scope
from tenants.models import Tenant

PATIENCE = (
    "150ms"  # who finds a row or a lock with another gives in: the other waits for its turn too, and would not let go
)


class Session:
    """A connection with a transaction that stays open from the first step until commit(), on a thread of its own."""

    def __init__(self, tenant: Tenant) -> None:
        self.is_open = False
        self._steps: queue.Queue[tuple[Callable[[], Any], Future[Any]] | None] = queue.Queue()
        self._atomic: Any = None
        self._thread = threading.Thread(target=self._work, args=(tenant,), daemon=True)
        self._thread.start()

    def do(self, step: Callable[[], Any]) -> bool:
        """Take the step; False when it was refused or somebody stood in its way, and nothing of it is left."""
        self.is_open = True
        return bool(self._ask(lambda: self._attempt(step)))

    def commit(self) -> None:
        """End the transaction, if there is one."""
        self._ask(self._end)
        self.is_open = False

    def close(self) -> None:
        """Commit and give the connection back."""
        self.commit()
        self._steps.put(None)
        self._thread.join(30)

    def _ask(self, work: Callable[[], Any]) -> Any:
        answer: Future[Any] = Future()
        self._steps.put((work, answer))
        return answer.result(60)

    def _work(self, tenant: Tenant) -> None:
        try:
            with tenant_scope(tenant):
                while (step := self._steps.get()) is not None:
                    work, answer = step
                    try:
                        answer.set_result(work())
                    except BaseException as error:  # handed to whoever asked
                        answer.set_exception(error)
        finally:
            connections.close_all()

    def _attempt(self, step: Callable[[], Any]) -> bool:
        if self._atomic is None:
            self._atomic = transaction.atomic()
            self._atomic.__enter__()
            impatient(local=True)
        return attempt(step)

    def _end(self) -> None:
        atomic, self._atomic = self._atomic, None
        if atomic is not None:
            atomic.__exit__(None, None, None)


def attempt(step: Callable[[], Any]) -> bool:
    """Take a step on this connection, all of it or nothing; False when it was refused or somebody stood in its way."""
    try:
        with transaction.atomic():
            step()
    except UserError:
        return False
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", "") not in ("55P03", "40P01"):  # lock not available; deadlock
            raise
        return False
    return True


def impatient(*, local: bool = False) -> None:
    """Wait no longer than PATIENCE for a lock on this connection; local: in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET {'LOCAL ' if local else ''}lock_timeout = '{PATIENCE}'")
