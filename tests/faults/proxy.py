"""A TCP proxy on the way to the database: it delays, hangs, resets, refuses, and drops answers to what was applied."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes all on to the port that *target* tells at each connection.

    Attributes:
        delay: seconds that each piece of an answer is held back.
        hang: pass nothing on while it is set.
        refuse: end connections at once while it is set.
        drop: a command, such as b"insert"; the database gets it, and its answer is lost with the connection.
        dropped: how many answers were lost so.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self.delay = 0.0
        self.hang = self.refuse = False
        self.drop = b""
        self.dropped = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def heal(self) -> None:
        """Pass everything on."""
        self.delay, self.hang, self.refuse, self.drop = 0.0, False, False, b""

    def reset(self) -> None:
        """Reset every connection."""
        self._loop.call_soon_threadsafe(self._reset)

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            self._reset()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _reset(self) -> None:
        for writer in list(self._open):
            _abort(writer)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            _abort(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target())
        except (OSError, LookupError):
            _abort(writer)
            return
        both = {writer, back}
        self._open |= both
        losing = asyncio.Event()
        try:
            await asyncio.gather(self._ask(reader, back, losing), self._answer(there, writer, losing))
        except (OSError, asyncio.CancelledError, EOFError):
            pass
        finally:
            for one in both:
                _abort(one)
            self._open -= both

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await reader.read(1 << 16):
            while self.hang:
                await asyncio.sleep(0.02)
            if self.drop and b"\x02" + self.drop + b"\x00" in data:
                losing.set()
            writer.write(data)
            await writer.drain()
        raise EOFError

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await reader.read(1 << 16):
            if losing.is_set():
                self.dropped += 1
                raise EOFError
            while self.hang:
                await asyncio.sleep(0.02)
            if self.delay:
                await asyncio.sleep(self.delay)
            writer.write(data)
            await writer.drain()
        raise EOFError


def _abort(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
