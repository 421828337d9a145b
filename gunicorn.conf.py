"""How `gunicorn wsgi:app` serves NHOP: one gevent worker; webapp/server.py does what the hooks need."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - somebody may try an older one
    raise SystemExit("NHOP needs Python 3.11 or newer, and this is Python " + sys.version.split()[0])

from webapp import server

settings = server.read_settings()

bind = server.address(settings)
worker_class = "gevent"
workers = 1
worker_connections = 2000
timeout = 60
graceful_timeout = 2
keepalive = 5
loglevel = "warning"
accesslog = None
control_socket_disable = True
# What a proxy says counts only where the setting `proxies` says so, in webapp/factory.py.
secure_scheme_headers = {}
forwarder_headers = ""
proc_name = "nhop"


def on_starting(arbiter):
    server.prepare(settings)


def when_ready(arbiter):
    server.announce(settings)


def post_worker_init(worker):
    server.watch_for_the_end(worker)


def worker_int(worker):
    server.leave(worker)


def on_exit(arbiter):
    server.finish(settings)
