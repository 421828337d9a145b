"""What browsers receive of a sweep, written down as it comes.

    python -m tests.faults.browser URL COOKIE SWEEP_ID FILE CLIENTS

Each client keeps a real websocket as the live page does: it comes back by itself and joins after the last number that
it has. A line of FILE is [client, number, monotonic time] for an event received, [client, word, time] for anything
else.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import socketio


async def watch(client: int, url: str, cookie: str, sweep_id: str, file: Any) -> None:
    browser = socketio.AsyncClient(reconnection_delay=0.3, reconnection_delay_max=2.0)
    seen = 0
    joining: asyncio.Task[None] | None = None

    def tell(what: int | str) -> None:
        file.write(json.dumps([client, what, time.monotonic()]) + "\n")
        file.flush()

    async def take(message: Any) -> None:
        nonlocal seen
        for event in message["events"]:
            seen = event["seq"]
            tell(seen)

    async def join() -> None:
        while True:
            try:
                answer = await browser.call("join", {"sweep": sweep_id, "after": seen}, timeout=60)
            except socketio.exceptions.SocketIOError:
                answer = {"retry": True}
            if not answer.get("retry"):
                tell("joined" if "seq" in answer else f"refused: {answer}")
                return
            await asyncio.sleep(0.3)

    async def connected() -> None:
        nonlocal joining
        tell("connected")
        if joining is not None:
            joining.cancel()
        joining = asyncio.create_task(join())

    browser.on("events", take)
    browser.on("connect", connected)
    while True:
        try:
            await browser.connect(url, transports=["websocket"], headers={"Cookie": cookie}, retry=True)
            await browser.wait()
        except socketio.exceptions.ConnectionError:
            await asyncio.sleep(0.3)


async def main(url: str, cookie: str, sweep_id: str, path: str, clients: int) -> None:
    with Path(path).open("a") as file:
        await asyncio.gather(*(watch(client, url, cookie, sweep_id, file) for client in range(clients)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5])))
