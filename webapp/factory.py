"""create_app: the only place where the parts are wired together."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix

from engine.settings import ROOT, Settings
from engine.store import Store
from webapp import errors, health
from webapp.api.pages import blueprint as api_pages
from webapp.api.views import blueprint as api
from webapp.auth import outside
from webapp.auth.account import blueprint as account
from webapp.auth.people import blueprint as people
from webapp.auth.tokens import blueprint as tokens
from webapp.auth.views import blueprint as auth
from webapp.classes.views import blueprint as classes
from webapp.datasets.views import blueprint as datasets
from webapp.extensions import BOARDS, HISTORIES, SETTINGS, STORE, bootstrap, compress, csrf, login_manager, socketio
from webapp.filters import register as register_filters
from webapp.history import blueprint as history
from webapp.models.views import blueprint as models
from webapp.monitor.views import blueprint as monitor
from webapp.origins import TrustedHosts, same_origin
from webapp.realtime import sockets
from webapp.realtime.keeping import BoardKeeper, HistoryKeeper, Importer
from webapp.realtime.relay import Relay
from webapp.realtime.run_pages import RunPages
from webapp.realtime.runs import RunWatcher
from webapp.reports.views import blueprint as reports
from webapp.services.boards import Boards
from webapp.services.histories import Histories
from webapp.steering.views import blueprint as steering
from webapp.sweeps.change import blueprint as change
from webapp.sweeps.views import blueprint as sweeps

LARGEST_REQUEST = 2 * 2**20
LARGEST_MESSAGE = 2**18
"""Of a socket; those of pages are a few hundred bytes."""

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; frame-src {}"
)
FRAMING = ("history.run", "history.file")
"""Endpoints of pages that show HTML files of runs, in frames with a sandbox."""
UNUSED = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()"
"""What a browser offers to pages and these do not need."""
HSTS = "max-age=31536000"
"""Over TLS: a browser that was here once never again asks in the clear, for a year."""

FILES = ("static", "bootstrap.static")
COMPRESSED = {
    *FILES,
    "history.metrics",
    "history.output",
    "history.compare_metrics",
    *(f"monitor.{name}" for name in ("live", "trial", "some_trials", "order", "analyse")),
}
"""Endpoints whose answers are sent compressed: files, and large ones. None repeats what its address asks for beside a
token: where one does, the length of the compressed page would tell the token bit by bit (BREACH).
"""


def create_app(settings: Settings, store: Store, async_mode: str = "threading", relay: bool = True) -> Flask:
    """The application on *store*.

    *async_mode* is "gevent" under gunicorn's gevent worker and "threading" elsewhere; *relay* says whether the
    relay runs by itself (tests turn it by hand).
    """
    app = Flask("webapp", root_path=str(ROOT), template_folder="templates", static_folder="static")
    app.config.update(
        SECRET_KEY=secret_key(settings.data_dir),
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        MAX_FORM_PARTS=5000,
        PROVIDE_AUTOMATIC_OPTIONS=False,  # no page needs them
        SESSION_COOKIE_NAME="nhop",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=settings.url.startswith("https:"),
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=14),
        WTF_CSRF_TIME_LIMIT=None,
        BOOTSTRAP_SERVE_LOCAL=True,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(hours=1),
        COMPRESS_REGISTER=False,  # _headers says what is compressed
        COMPRESS_ALGORITHM=["br", "gzip"],
        COMPRESS_BR_LEVEL=5,
    )
    app.session_interface = Cookies()
    app.extensions[STORE] = store
    app.extensions[SETTINGS] = settings
    app.extensions[HISTORIES] = runs = Histories(settings, store)
    app.extensions[BOARDS] = boards = Boards(settings, store)
    app.jinja_env.globals["tensorboard"] = settings.tensorboard
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    bootstrap.init_app(app)
    compress.init_app(app)
    login_manager.init_app(app, add_context_processor=False)  # pages have `viewer`, which asks the store only once
    socketio.init_app(
        app,
        async_mode=async_mode,
        serve_client=False,
        manage_session=False,
        transports=["websocket"],
        cors_allowed_origins=same_origin,
        max_http_buffer_size=LARGEST_MESSAGE,
    )
    for blueprint in (
        auth,
        tokens,
        api,
        api_pages,
        account,
        people,
        outside.blueprint,
        sweeps,
        change,
        steering,
        datasets,
        classes,
        monitor,
        reports,
        models,
        history,
        health.blueprint,
    ):
        app.register_blueprint(blueprint)
    csrf.exempt(api)  # it looks itself, since a request with a token needs none
    csrf.init_app(app)  # after the gate of `auth`, so that nobody without an account makes it read a large request
    errors.register(app)
    register_filters(app)
    app.after_request(_headers)
    outside.attach(app, settings)
    app.wsgi_app = TrustedHosts(app.wsgi_app, settings)  # type: ignore[method-assign]
    if count := settings.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=count, x_port=0, x_prefix=0
        )
    watcher, pages = RunWatcher(app, runs, socketio), RunPages(lambda name: runs.get(name).parts, socketio)
    sockets.attach(app, socketio, Relay(store, socketio, settings), watcher, pages, start=relay)
    if relay:
        socketio.start_background_task(HistoryKeeper(store, runs, socketio.sleep).run)
        socketio.start_background_task(BoardKeeper(boards, socketio.sleep).run)
        socketio.start_background_task(Importer(store, settings, runs, socketio.sleep).run)
    return app


class Cookies(SecureCookieSessionInterface):
    """Sessions in a cookie that, over TLS, is never sent in the clear and never for another host."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return super().get_cookie_secure(app) or request.is_secure

    def get_cookie_name(self, app: Flask) -> str:
        name = super().get_cookie_name(app)
        return f"__Host-{name}" if self.get_cookie_secure(app) else name


def secret_key(data_dir: Path) -> bytes:
    """The key that signs sessions: made at the first start, readable by this user alone."""
    path = data_dir / "secret_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
    return path.read_bytes()


def _headers(response: Response) -> Response:
    """The headers that keep a browser from doing more than these pages need, and the compression of large answers."""
    frames = "'self'" if request.endpoint in FRAMING else "'none'"
    response.headers.setdefault("Content-Security-Policy", POLICY.format(frames))  # a downloaded report has its own
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("X-Frame-Options", "DENY")  # but for a file of a run, shown in a sandbox
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")  # but for a TensorBoard, in a sandbox
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = UNUSED
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = HSTS
    if request.endpoint not in FILES:
        response.headers["Cache-Control"] = "no-store"
    return _compressed(response) if request.endpoint in COMPRESSED else response


def _compressed(response: Response) -> Response:
    if response.status_code == HTTPStatus.OK:
        response.direct_passthrough = False
        response.make_sequence()  # Flask-Compress never closes a file that it reads piece by piece
    return compress.after_request(response)
