"""Several calls at once within one worker: WeCom's answers take long, the waiting costs nothing."""

import contextvars
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from django.db import connection

from tenants.context import current_tenant, tenant_scope

T = TypeVar("T")
R = TypeVar("R")


def run_all(work: Callable[[T], R], items: Iterable[T], *, width: int) -> Iterator[tuple[T, R | Exception]]:
    """`work(item)` for all items, at most `width` at once, in the scope of the caller; yields (item, result or its exception)
    as they end. `work` may query and call, each thread on a connection of its own, and must not open a transaction around a
    call. Leaving the loop early waits for those that run and drops the rest.
    """
    todo = iter(items)
    with ThreadPoolExecutor(width, thread_name_prefix="wecom") as pool:
        running: dict[Future[R], T] = {}

        def fill() -> None:
            while len(running) < width:
                item = next(todo, _END)
                if item is _END:
                    return
                running[_submit(pool, work, item)] = item  # type: ignore[assignment]

        fill()
        while running:
            ended, _rest = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                item = running.pop(future)
                error = future.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield item, error if error is not None else future.result()
            fill()


_END = object()


def _submit(pool: ThreadPoolExecutor, work: Callable[..., R], item: object) -> "Future[R]":
    tenant = current_tenant()

    def scoped() -> R:
        try:
            with tenant_scope(tenant):
                return work(item)
        finally:
            connection.close()  # opened only if the work queried, e.g. for a token

    return pool.submit(contextvars.copy_context().run, scoped)
