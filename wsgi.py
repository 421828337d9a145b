"""The WSGI application: `gunicorn wsgi:app` serves it (gunicorn.conf.py has the settings)."""

from __future__ import annotations

from gevent import monkey

from engine.settings import load
from engine.store import connect
from engine.store.embedded import uri_of
from webapp.factory import create_app

_settings = load()
app = create_app(
    _settings,
    connect(uri_of(_settings), _settings.database),
    async_mode="gevent" if monkey.is_module_patched("socket") else "threading",
)
