"""Real receivers of notifications on loopback: an HTTP server that keeps what it is sent, and an SMTP server."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).parent / "tls" / "certificate.pem"
"""Of receiver.test and localhost, signed by itself: for tests alone."""
KEY = CERTIFICATE.with_name("key.pem")


@dataclass(slots=True)
class Hook:
    """An HTTP receiver: its port, and what it was sent: (path, headers, JSON)."""

    port: int
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@contextmanager
def hook(
    statuses: Sequence[int] = (200,), host: str = "127.0.0.1", tls: bool = False, location: str = "", drip: float = 0
) -> Iterator[Hook]:
    """An HTTP receiver that answers with one status after the other, the last again and again.

    Args:
        location: where its answers redirect to.
        drip: seconds between the bytes of an answer.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.requests.append((self.path, dict(self.headers), json.loads(body)))
            if drip:
                for byte in b"HTTP/1.0 200 OK" * 100:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(drip)
                return
            self.send_response(statuses[min(len(received.requests), len(statuses)) - 1])
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that goes in the middle of it is part of the tests."""

    server = Quiet((host, 0), Handler)
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE, KEY)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    received = Hook(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield received
    server.shutdown()
    server.server_close()


@dataclass(slots=True)
class Mailbox:
    """An SMTP receiver: its port, whom it took messages for, the messages, and the names that logged in."""

    port: int
    recipients: list[list[str]] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


@contextmanager
def mailbox(starttls: bool = False, refuse: int = 0) -> Iterator[Mailbox]:
    """An SMTP receiver (RFC 5321, as much of it as a sender uses), which answers recipients with *refuse* if given."""

    class Handler(socketserver.StreamRequestHandler):
        people: list[str]
        secure = False

        def handle(self) -> None:
            self.say("220 receiver.test")
            while (line := self.rfile.readline()) and not line.startswith(b"QUIT"):
                verb, _, rest = line.decode().strip().partition(" ")
                self.answer(verb.upper(), rest)

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()
            self.request.close()

        def say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

        def answer(self, verb: str, rest: str) -> None:
            if verb == "EHLO":
                self.say(
                    "250-receiver.test", *(["250-STARTTLS"] if starttls and not self.secure else []), "250 AUTH PLAIN"
                )
            elif verb == "STARTTLS":
                self.say("220 go on")
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(CERTIFICATE, KEY)
                self.request = context.wrap_socket(self.request, server_side=True)
                self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
                self.secure = True
            elif verb == "AUTH":
                _, name, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
                received.logins.append(f"{name}:{password}")
                self.say("235 welcome")
            elif verb == "MAIL":
                self.people = []
                self.say("250 ok")
            elif verb == "RCPT":
                self.people.append(rest.partition("<")[2].partition(">")[0])
                self.say(f"{refuse} no" if refuse else "250 ok")
            elif verb == "DATA":
                self.say("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                received.messages.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]
                received.recipients.append(self.people)
                self.say("250 taken")
            else:
                self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that goes in the middle of it is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    received = Mailbox(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield received
    server.shutdown()
    server.server_close()
