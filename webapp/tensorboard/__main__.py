"""`python -m webapp.tensorboard FOLDER`: show runs with TensorBoard on a Unix socket in FOLDER, until it is killed.

FOLDER/request.json is {database, runs}. How it goes stands in FOLDER/state.json: {ready, words, problem, notes}.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from werkzeug import Response
from werkzeug.serving import WSGIRequestHandler, make_server

from engine import settings as settings_module
from engine.errors import NhopError, NotFound, StoreError
from engine.identity import die_with_parent
from engine.settings import Settings
from engine.store import Store, connect
from engine.store.embedded import uri_of
from engine.store.run_parts import RunParts
from webapp.services import connections

log = logging.getLogger("nhop.tensorboard")

GROW_SECONDS = 5.0
"""How often runs that go on are looked at."""
LOAD_SECONDS = 20.0
"""After so long what has been read is shown, while the rest is."""
MOST_MEMORY = 2 * 2**30
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
LOGS, SOCKET, STATE, REQUEST = "logs", "socket", "state.json", "request.json"


class Quiet(WSGIRequestHandler):
    """No line for each request."""

    def log_request(self, *_: Any) -> None:
        pass


def say(words: str = "", ready: bool = False, problem: str = "", notes: Sequence[str] = ()) -> None:
    """Write how it goes, whole or not at all."""
    new = Path(f"{STATE}.new")
    new.write_text(json.dumps({"words": words, "ready": ready, "problem": problem, "notes": list(notes)}))
    new.replace(STATE)


def main(folder: str) -> int:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    settings = settings_module.load()
    os.chdir(folder)
    os.umask(0o077)
    request = json.loads(Path(REQUEST).read_text())
    try:
        show(settings, request["database"], request["runs"])
    except ImportError as error:
        log.error("%s", error)
        say(problem="TensorBoard is not installed on the server; `pip install -r requirements.txt` installs it")
    except NhopError as error:
        say(problem=str(error))
    except MemoryError:
        say(problem=f"these runs need more than {MOST_MEMORY // 2**30} GB of memory; choose fewer")
    return 1


def show(settings: Settings, database: str, ids: Sequence[str]) -> None:
    """Write the logs, serve them, and go on as long as runs do.

    Raises:
        ImportError: TensorBoard is not installed.
        NhopError: the runs cannot be read.
    """
    from tensorboard.backend import application
    from tensorboard.backend.event_processing.data_ingester import LocalDataIngester

    from webapp.tensorboard.logs import Logs

    say("connecting to the database")
    store = connect(uri_of(settings), settings.database)
    logs = Logs(store, _parts(settings, store, database), not database, Path(LOGS))
    logs.write(ids, say)
    say("loading the event files", notes=logs.notes)
    board = _configured()
    ingester = LocalDataIngester(board.flags)
    loading = threading.Thread(target=ingester.start, daemon=True)  # it reads everything once
    loading.start()
    app = application.TensorBoardWSGIApp(
        board.flags,
        board.plugin_loaders,
        ingester.data_provider,
        board.assets_zip_provider,
        ingester.deprecated_multiplexer,
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(SOCKET)
        listening.listen(64)
        server = make_server(
            "unix://", 0, _with_own_fonts(app), threaded=True, request_handler=Quiet, fd=listening.fileno()
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        loading.join(LOAD_SECONDS)
        slow = "TensorBoard still reads these files: what is missing there comes with its own button Reload."
        say(ready=True, notes=[*logs.notes, *([slow] if loading.is_alive() else [])])
        loading.join()
        while True:
            time.sleep(GROW_SECONDS)
            try:
                if logs.grow():
                    ingester.deprecated_multiplexer.AddRunsFromDirectory(LOGS, None)
                    ingester.deprecated_multiplexer.Reload()
            except StoreError as error:
                log.warning("what is new is read later: %s", error)


def _parts(settings: Settings, store: Store, database: str) -> RunParts:
    if not database:
        return store.run_parts
    document = store.connections.get(database)
    if document is None:
        raise NotFound("this database was removed from the history")
    opened = connections.opened(settings, document)
    return RunParts(opened.database, opened.prefix)


def _configured() -> Any:
    """TensorBoard with the plugins that show what event files hold; without those that read or fetch anything else."""
    from tensorboard import program
    from tensorboard.plugins.audio.audio_plugin import AudioPlugin
    from tensorboard.plugins.core.core_plugin import CorePluginLoader
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.distribution.distributions_plugin import DistributionsPlugin
    from tensorboard.plugins.graph.graphs_plugin import GraphsPlugin
    from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin
    from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
    from tensorboard.plugins.image.images_plugin import ImagesPlugin
    from tensorboard.plugins.mesh.mesh_plugin import MeshPlugin
    from tensorboard.plugins.metrics.metrics_plugin import MetricsPlugin
    from tensorboard.plugins.pr_curve.pr_curves_plugin import PrCurvesPlugin
    from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin
    from tensorboard.plugins.text.text_plugin import TextPlugin

    board = program.TensorBoard(
        plugins=[
            CorePluginLoader(),
            MetricsPlugin,
            ScalarsPlugin,
            CustomScalarsPlugin,
            ImagesPlugin,
            AudioPlugin,
            GraphsPlugin,
            DistributionsPlugin,
            HistogramsPlugin,
            TextPlugin,
            PrCurvesPlugin,
            HParamsPlugin,
            MeshPlugin,
        ]
    )
    # The faster loader is a program that listens on a port without asking who comes.
    board.configure(
        logdir=LOGS, load_fast="false", reload_interval=0, reload_task="blocking", window_title="TensorBoard – NHOP"
    )
    return board


def _with_own_fonts(app: Application) -> Application:
    """TensorBoard, whose page asks for its fonts at the root of the host, wherever it is itself: so it is mended."""

    def served(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] not in ("/", "/index.html"):
            return app(environ, start)
        page = Response.from_app(app, environ)
        page.set_data(page.get_data().replace(b"url(/font-roboto/", b"url(font-roboto/"))
        return page(environ, start)

    return served


if __name__ == "__main__":
    die_with_parent(os.getppid())
    sys.exit(main(sys.argv[1]))
