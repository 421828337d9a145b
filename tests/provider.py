"""A small OpenID provider on loopback: who asks is let in as the person that the test has named."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "nhop", "not told"


@dataclass
class Provider:
    """What it says: *claims* go over those of a right token, *key* signs it instead of the published one. It says that
    it may sign by *algorithms*, and does by *algorithm*. *ends*: where it says that it ends sessions; *left*: what it
    was told there, of whom by the token."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "42", "preferred_username": "ada"})
    published: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    key: RSAKey | None = None
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    algorithms: list[str] = field(default_factory=lambda: ["RS256"])
    algorithm: str = "RS256"
    ends: str | None = None
    left: list[dict[str, str]] = field(default_factory=list)

    def token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"], **self.claims}
        header = {"alg": self.algorithm, "kid": "one"}
        if self.algorithm == "RS256":
            return jwt.encode(header, claims, self.key or self.published)
        parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
        signed = ".".join(parts)
        public = self.published.as_pem(private=False)
        made = hmac.digest(public, signed.encode(), "sha256") if self.algorithm == "HS256" else b""
        return f"{signed}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider that runs."""
    said = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/.well-known/openid-configuration":
                ends = {} if said.ends is None else {"end_session_endpoint": said.ends}
                self.answer(
                    {
                        "issuer": said.url,
                        "authorization_endpoint": f"{said.url}/authorize",
                        "token_endpoint": f"{said.url}/token",
                        "jwks_uri": f"{said.url}/keys",
                        "id_token_signing_alg_values_supported": said.algorithms,
                        **ends,
                    }
                )
            elif parts.path == "/keys":
                self.answer({"keys": [said.published.as_dict(private=False)]})
            elif parts.path == "/logout":
                told = {name: values[0] for name, values in parse_qs(parts.query).items()}
                token = jwt.decode(told.pop("id_token_hint"), said.published, algorithms=["RS256"])
                said.left.append({**told, "sub": token.claims["sub"]})
                self.send_response(302)
                self.send_header("Location", told["post_logout_redirect_uri"])
                self.end_headers()
            else:
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                code = hashlib.sha256(asked["state"].encode()).hexdigest()[:16]
                said.asked[code] = asked
                self.send_response(302)
                back = urlencode({"code": code, "state": asked["state"]})
                self.send_header("Location", f"{asked['redirect_uri']}?{back}")
                self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent = {name: values[0] for name, values in parse_qs(body).items()}
            asked = said.asked.pop(sent["code"], None)
            right = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).decode()
            if asked is None or self.headers["Authorization"] != f"Basic {right}":
                said.problems.append("the code or the client is wrong")
            elif challenge.rstrip("=") != asked["code_challenge"] or sent["redirect_uri"] != asked["redirect_uri"]:
                said.problems.append("the verifier or the address is wrong")
            if said.problems or asked is None:
                self.answer({"error": "invalid_grant"}, 400)
            else:
                self.answer({"access_token": "x", "token_type": "Bearer", "id_token": said.token(asked)})

        def answer(self, document: dict[str, Any], status: int = 200) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
