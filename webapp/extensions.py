"""The Flask extensions, unbound, and the store and settings of the current application."""

from __future__ import annotations

from typing import cast

from flask import current_app
from flask_bootstrap import Bootstrap5
from flask_compress import Compress
from flask_login import LoginManager
from flask_socketio import SocketIO
from flask_wtf.csrf import CSRFProtect

from engine.settings import Settings
from engine.store import Store

socketio = SocketIO()
login_manager = LoginManager()
csrf = CSRFProtect()
bootstrap = Bootstrap5()
compress = Compress()

STORE = "nhop.store"
SETTINGS = "nhop.settings"
HISTORIES = "nhop.histories"
BOARDS = "nhop.boards"


def store() -> Store:
    """The store of the current application."""
    return cast(Store, current_app.extensions[STORE])


def settings() -> Settings:
    """The settings of the current application."""
    return cast(Settings, current_app.extensions[SETTINGS])
