"""Free ports of this machine, for servers that must be told where to listen before they do."""

from __future__ import annotations

import socket


def free_ports(count: int) -> list[int]:
    """*count* different ports of 127.0.0.1 that nobody uses at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
