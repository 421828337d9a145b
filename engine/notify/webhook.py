"""Sending a webhook to an address that a user has typed, without lending that user this machine's place in the network.

The name is resolved once; if any of its addresses is not public, nothing is sent; and the connection goes to one of the
very addresses that were checked, whatever the name would resolve to a moment later. Redirects are not followed, proxies
are not asked, of the answer the status alone is read, and all of it has one deadline. No text here repeats a part of
the address: the path or the query is the secret of many a receiver.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from engine.config import url_problem
from engine.errors import NoticeError, NoticeRefused
from engine.notify.addresses import is_public

SECONDS = 15.0
"""For all of it, the resolver's time apart."""
MOST_ADDRESSES = 4
"""Of one host that are tried."""

Resolver = Callable[..., list[tuple[Any, ...]]]

PRIVATE = "its host has an address that is not public; an administrator can name it in webhook_hosts"


def post(
    url: str,
    document: Mapping[str, Any],
    allowed: Collection[str] = (),
    seconds: float = SECONDS,
    resolve: Resolver = socket.getaddrinfo,
) -> int:
    """Send *document* as JSON; returns the status of the answer, from 200 to 299.

    Args:
        allowed: hosts, or host:port, in small letters, that may have addresses that are not public.

    Raises:
        NoticeRefused: the address is refused, or the answer is a redirect or a refusal.
        NoticeError: nobody answers, or not in time, or the answer says to come back.
    """
    if problem := url_problem(url):
        raise NoticeRefused(f"its address {problem}")
    parts = urlsplit(url)
    host, secure = str(parts.hostname), parts.scheme.lower() == "https"
    port = parts.port or (443 if secure else 80)
    body = json.dumps(document, allow_nan=False).encode()
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with _connection(host, port, secure, allowed, seconds, resolve) as connection:
            connection.request("POST", target, body, {"Content-Type": "application/json", "User-Agent": "NHOP"})
            status = connection.getresponse().status
    except ssl.SSLCertVerificationError:
        raise NoticeRefused("the certificate of its host is not valid for it") from None
    except TimeoutError:
        raise NoticeError(f"no answer within {seconds:g} s") from None
    except (OSError, HTTPException, ValueError):
        raise NoticeError("no answer that could be read") from None
    if 200 <= status < 300:
        return status
    if 300 <= status < 400:
        raise NoticeRefused(f"answered with {status}, a redirect, which is not followed")
    if status in (408, 425, 429) or status >= 500:
        raise NoticeError(f"answered with {status}")
    raise NoticeRefused(f"answered with {status}")


def is_refused(url: str, allowed: Collection[str]) -> bool:
    """Whether an address can be known to be refused without asking the resolver: it holds a number, or this machine's
    own name."""
    parts = urlsplit(url)
    host = str(parts.hostname)
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    if host != "localhost" and not host.endswith(".localhost"):
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            return False
        if all(is_public(str(entry[4][0])) for entry in found):
            return False
    return not is_allowed(host, port, allowed)


def is_allowed(host: str, port: int, allowed: Collection[str]) -> bool:
    """Whether an administrator lets webhooks go to *host* whatever its addresses are."""
    name = f"[{host}]" if ":" in host else host
    return bool({host, name, f"{name}:{port}"} & set(allowed))


@contextmanager
def _connection(
    host: str, port: int, secure: bool, allowed: Collection[str], seconds: float, resolve: Resolver
) -> Iterator[HTTPConnection]:
    """A connection to a checked address of *host*, cut off after *seconds*."""
    addresses = _checked(host, port, allowed, resolve)
    deadline = time.monotonic() + seconds
    plain = _connect(addresses, deadline)
    if secure:
        context = ssl.create_default_context()
        plain = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            socket.socket.shutdown(plain, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    connection = HTTPSConnection(host, port) if secure else HTTPConnection(host, port)
    connection.sock = plain  # connected already, so that the name is not looked up again
    try:
        if isinstance(plain, ssl.SSLSocket):
            plain.do_handshake()
        yield connection
        if late.is_set():
            raise TimeoutError  # what was cut off may look like an answer
    except (OSError, HTTPException, ValueError):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        connection.close()
        plain.close()


def _checked(host: str, port: int, allowed: Collection[str], resolve: Resolver) -> list[tuple[str, int]]:
    """The addresses of *host*, all of them fit to be connected to."""
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        raise NoticeError("its host is not known to this machine's resolver") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise NoticeError("its host has no address")
    if not is_allowed(host, port, allowed) and not all(is_public(address) for address in addresses):
        raise NoticeRefused(PRIVATE)
    return [(address, port) for address in addresses[:MOST_ADDRESSES]]


def _connect(addresses: list[tuple[str, int]], deadline: float) -> socket.socket:
    failure: OSError = TimeoutError()
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection(address, timeout=left)
        except OSError as error:
            failure = error
    raise failure
