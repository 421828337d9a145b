"""Messages between the optimizer and its processes: one JSON object a line, over a Unix socket pair."""

from __future__ import annotations

import json
import select
import socket
from typing import Any

Message = dict[str, Any]


class Channel:
    """One end of a socket pair. Its messages arrive whole and in order, or not at all."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> bool:
        """Send *message*, and open files with it; False when the other end is gone."""
        data = json.dumps(message).encode() + b"\n"
        try:
            if fds:
                sent = socket.send_fds(self._socket, [data], list(fds))
                data = data[sent:]
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def takes(self) -> bool:
        """Whether a short message can be sent without waiting for the other end, which may read nothing."""
        return bool(select.select([], [self._socket], [], 0)[1])

    def receive(self) -> list[Message] | None:
        """The messages that have arrived, waiting for at least some bytes; None when the other end is gone."""
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            return None
        if not data:
            return None
        return self._split(data)

    def receive_with_fd(self) -> tuple[list[Message] | None, list[int]]:
        """As `receive`, with the files that came along."""
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, 8)
        except OSError:
            return None, []
        return (self._split(data) if data else None), list(fds)

    def waiting(self, seconds: float = 0.0) -> bool:
        """Whether something arrives within *seconds*."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def close(self) -> None:
        self._socket.close()

    def _split(self, data: bytes) -> list[Message]:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]
