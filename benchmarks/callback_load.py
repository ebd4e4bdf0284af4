"""A load generator of its own process: prepared HTTP requests over keep-alive connections; prints what it saw as JSON.

`python -m benchmarks.callback_load HOST PORT CONNECTIONS FILE`; FILE holds requests, each after its length (4 bytes).
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path


class Connection(asyncio.Protocol):
    """Sends the next request when the last one is answered."""

    def __init__(self, todo: "list[bytes]", statuses: "Counter[str]", done: "asyncio.Future[None]") -> None:
        self.todo, self.statuses, self.done = todo, statuses, done
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        if self.todo:
            self.transport.write(self.todo.pop())  # type: ignore[attr-defined]
        elif not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, mark, body = self.seen.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length:
            self.statuses[f"{head[9:12].decode()} {body[:20].decode(errors='replace')}"] += 1
            self.seen = b""
            self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server hung up"))


async def drive(host: str, port: int, connections: int, requests: "list[bytes]") -> dict[str, object]:
    """All requests over that many connections: seconds, answers by status."""
    loop = asyncio.get_running_loop()
    statuses: Counter[str] = Counter()
    ends = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: Connection(requests, statuses, end), host, port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    return {"seconds": time.perf_counter() - began, "statuses": dict(statuses), "cpu": time.process_time()}


def read(path: Path) -> "list[bytes]":
    """The requests of a file."""
    raw, requests, at = path.read_bytes(), [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        requests.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return requests


if __name__ == "__main__":
    host, port, connections, file = sys.argv[1:5]
    print(json.dumps(asyncio.run(drive(host, int(port), int(connections), read(Path(file))))))
