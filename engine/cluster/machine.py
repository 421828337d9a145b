"""This machine among others: its names, and the address by which others reach it."""

from __future__ import annotations

import socket

import psutil

from engine.cluster.spec import HERE
from engine.settings import Settings, machine_names


def names_of(settings: Settings) -> frozenset[str]:
    """Every name and address by which a configuration may mean this machine."""
    addresses = {
        address.address
        for of_interface in psutil.net_if_addrs().values()
        for address in of_interface
        if address.family == socket.AF_INET
    }
    return HERE | addresses | set(machine_names(settings.machine))


def address_towards(host: str) -> str:
    """The address that *host* sees when this machine calls it.

    Raises:
        OSError: there is no such host, or no way to it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, 9))  # nothing is sent: the system only chooses the way
        return str(sock.getsockname()[0])


def answers(address: str, seconds: float = 1.0) -> bool:
    """Whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=seconds).close()
    except OSError:
        return False
    return True
