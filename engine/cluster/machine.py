"""This machine among others: its names, and the address by which others reach it."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

import psutil

from engine.cluster.spec import HERE
from engine.settings import Settings, machine_names


def names_of(settings: Settings) -> frozenset[str]:
    """Every name and address by which a configuration may mean this machine."""
    return HERE | set(own_addresses()) | set(machine_names(settings.machine))


def address_towards(host: str) -> str:
    """The address that *host* sees when this machine calls it.

    Raises:
        OSError: there is no such host, or no way to it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, 9))  # nothing is sent: the system only chooses the way
        return str(sock.getsockname()[0])


def own_address(hosts: Iterable[str], seconds: float = 3.0) -> str:
    """The address by which *hosts* reach this machine: the way to the first that can be resolved in so many seconds,
    else that of any network interface."""
    pool = ThreadPoolExecutor(max_workers=8)
    try:
        for found in as_completed([pool.submit(address_towards, host) for host in set(hosts)], timeout=seconds):
            if found.exception() is None:
                return found.result()
    except TimeoutError:
        pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    outward = (address for address in own_addresses() if not address.startswith("127."))
    return next(outward, "localhost")


def own_addresses() -> list[str]:
    """The IPv4 addresses of all network interfaces."""
    interfaces = psutil.net_if_addrs().values()
    return sorted(one.address for addresses in interfaces for one in addresses if one.family == socket.AF_INET)


def answers(address: str, seconds: float = 1.0) -> bool:
    """Whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=seconds).close()
    except OSError:
        return False
    return True
