"""Clients that ask a server over HTTP and note how long it took; a process of its own, so that no GIL is shared.

Reads one JSON object from stdin, see `Plan`; prints {"latencies_ms": [...], "wrong": [...]}.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from typing import Any

WAIT_SECONDS = 30.0
SEED = 20_260_615


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Each client asks at its path, on one connection that is kept, for `seconds`.

    With an interval it asks every so many seconds, whether or not the answer before is there, and latency counts from
    the moment at which a question was due: a slow answer makes the next ones late, too. Without, it asks again at once.
    `pages`: so many pages are followed by `next` before it begins again.
    """

    port: int
    paths: list[str]
    headers: list[dict[str, str]]
    seconds: float
    interval: float | None
    pages: int
    rows: int


async def run(plan: Plan) -> dict[str, Any]:
    latencies: list[float] = []
    wrong: list[str] = []
    chance = random.Random(SEED)  # noqa: S311  (when clients begin)
    begin = time.perf_counter() + 0.2
    await asyncio.gather(
        *(
            _client(plan, number, begin + chance.random() * (plan.interval or 0.1), latencies, wrong)
            for number in range(len(plan.paths))
        )
    )
    return {"latencies_ms": latencies, "wrong": wrong[:5]}


async def _client(plan: Plan, number: int, due: float, latencies: list[float], wrong: list[str]) -> None:
    connection = _Connection(plan.port)
    path, page, end = plan.paths[number], 1, due + plan.seconds
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        try:
            status, body = await asyncio.wait_for(connection.get(path, plan.headers[number]), WAIT_SECONDS)
        except (OSError, EOFError, TimeoutError) as error:
            wrong.append(f"{path}: {error!r}")
            connection.close()
        else:
            now = time.perf_counter()
            latencies.append((now - due) * 1000)
            told: dict[str, Any] = json.loads(body) if status == 200 else {}
            rows, following = len(told.get("results", ())), told.get("next") or ""
            if status != 200 or (rows != plan.rows and (following or not rows)):
                wrong.append(f"{path}: {status} {body[:200]!r}")
            page = page + 1 if following and page < plan.pages else 1
            path = "/" + following.split("/", 3)[3] if page > 1 else plan.paths[number]
        due = due + plan.interval if plan.interval else time.perf_counter()
    connection.close()


class _Connection:
    """HTTP/1.1, as much of it as these servers speak; connected again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", *(f"{k}: {v}" for k, v in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await self._reader.readexactly(length)
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1]), body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(Plan(**json.load(sys.stdin))))))
