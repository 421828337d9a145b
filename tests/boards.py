"""A stand-in for `python -m webapp.tensorboard`: ready at once, it answers with what it was asked, and more than it
should."""

from __future__ import annotations

import json
import os
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

SENT = {
    "Set-Cookie": "nhop=stolen",
    "Location": "https://evil.example/",
    "Access-Control-Allow-Origin": "*",
    "Content-Security-Policy": "script-src 'sha256-Zm9v' https://evil.example; connect-src *",
}


class Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        told = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}
        content = json.dumps(told).encode()
        self.send_response(302 if "moved" in self.path else 200)
        for name, value in SENT.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html" if self.path.partition("?")[0] == "/" else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_POST = do_HEAD = do_GET  # noqa: N815 - as the base class calls them

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    with socketserver.ThreadingUnixStreamServer("socket", Echo) as server:
        Path("state.json").write_text(json.dumps({"ready": True, "words": "", "problem": "", "notes": []}))
        server.serve_forever()
