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

FIRST_PAUSE, LONGEST_PAUSE = 0.3, 2.0
"""Seconds between two attempts to connect, as the page has them."""


async def watch(client: int, url: str, cookie: str, sweep_id: str, file: Any) -> None:
    seen, pause = 0, FIRST_PAUSE

    def tell(what: int | str) -> None:
        file.write(json.dumps([client, what, time.monotonic()]) + "\n")
        file.flush()

    async def take(message: Any) -> None:
        nonlocal seen
        for event in message["events"]:
            seen = event["seq"]
            tell(seen)

    async def join(browser: socketio.AsyncClient) -> None:
        while True:
            answer = await browser.call("join", {"sweep": sweep_id, "after": seen}, timeout=60)
            if not answer.get("retry"):
                tell("joined" if "seq" in answer else f"refused: {answer}")
                return
            await asyncio.sleep(FIRST_PAUSE)

    while True:
        browser = socketio.AsyncClient(reconnection=False)
        gone = asyncio.Event()
        browser.on("events", take)
        browser.on("disconnect", lambda *_, gone=gone: gone.set())
        try:
            await browser.connect(url, transports=["websocket"], headers={"Cookie": cookie})
            pause = FIRST_PAUSE
            joining = asyncio.create_task(join(browser))
            await gone.wait()
            joining.cancel()
        except socketio.exceptions.ConnectionError as error:
            tell(f"not connected: {error}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def main(url: str, cookie: str, sweep_id: str, path: str, clients: int) -> None:
    with Path(path).open("a") as file:
        await asyncio.gather(*(watch(client, url, cookie, sweep_id, file) for client in range(clients)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5])))
