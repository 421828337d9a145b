"""One run of a sweep by this process: data, cluster, Sacred run, optimizer, and the end state.

Everything about it lies in two folders: the work folder (journal, data) in the data directory, and the log folder
below the configuration's train_log_dir.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from sacred import SETTINGS, Experiment
from sacred.dependencies import Source, get_commit_if_possible
from sacred.utils import SacredInterrupt

from engine import resume
from engine.cluster.cluster import Cluster, Deadlines
from engine.cluster.elsewhere import Elsewhere
from engine.cluster.machine import names_of
from engine.cluster.process import Zygote
from engine.cluster.spec import ClusterPlan
from engine.config import SweepConfig, parse
from engine.data import Parts, Texts, prepare
from engine.domain import SweepState, Trial, TrialState
from engine.errors import (
    NO_ROOM,
    ConfigError,
    JournalError,
    LeaseLost,
    NhopError,
    Problem,
    StateError,
    StoreUnavailable,
    clipped,
)
from engine.events import EventType
from engine.models.inspection import settle
from engine.observer import SweepObserver
from engine.optimizer import NO_CURVE, NO_FIGURES, Optimizer, SweepStopped
from engine.recorder import HELD_BY_DISK, Recorder, give_up
from engine.report import Reporter
from engine.settings import ROOT, Settings
from engine.store import Store
from engine.store.journal import Journal
from engine.store.metrics import Point

FINISH_SECONDS = 900.0
"""How long a finished sweep waits for a silent database before it leaves its end to the next process."""

CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints of trials in training, in the work folder."""
ROOM_SECONDS = 0.5
"""Between two looks whether a sweep that waits for room may begin."""

RETRIES_APART = 10
"""So many of these looks lie between two attempts to write the data."""

ENDING_SECONDS = 15.0
"""How long a process that runs the same sweep here may still take to end."""

UNTOLD = timedelta(seconds=5)
"""Trials that ended so long before the newest event of a trial, or later, are told again by the next process."""

log = logging.getLogger("nhop.sweep")


Stored = dict[int, dict[str, Any]]
"""The trials' documents in the database, by number."""


class Interrupted(SacredInterrupt):
    """Ends the Sacred run of a stopped sweep."""

    STATUS = "INTERRUPTED"


class Released(SacredInterrupt):
    """This process must end, and leaves the sweep to the next one."""

    STATUS = "QUEUED"


def clock() -> datetime:
    return datetime.now(UTC)


def run_sweep(store: Store, settings: Settings, sweep: dict[str, Any], zygote: Zygote | None = None) -> SweepState:
    """Run a sweep that this process owns, to its end or until its lease is lost.

    Args:
        sweep: its document, claimed, with the lease's fence.
        zygote: what its processes are forked from, if it was started before.

    Returns:
        the state it ended in.

    Raises:
        LeaseLost: another optimizer owns it now.
        Released: a signal asked this process to end.
        StoreUnavailable: the database was silent when the sweep began, or when it had ended; it is to be resumed.
        OSError: there was no room on a disk; it is to be resumed.
    """
    sweep_id = sweep["_id"]
    work_dir = settings.data_dir / "sweeps" / sweep_id
    with ExitStack() as held:
        try:
            work_dir.mkdir(parents=True, exist_ok=True)
            config = parse(sweep["config"])
            log_dir = _log_dir(config, sweep_id)
            held.enter_context(_alone(work_dir))
            journal = Journal(work_dir / "journal")
        except (StateError, JournalError):
            raise
        except NhopError as problem:
            give_up(store, sweep, str(problem), clock())
            return SweepState(store.sweeps.get(sweep_id)["state"])
        except OSError as problem:
            if problem.errno in NO_ROOM:
                return _without_room(store, sweep, problem)
            raise
        recorder = Recorder(store, sweep, journal, clock, shared=not settings.embedded)
        state, error = SweepState.FAILED, None
        with _logging(recorder, log_dir / "hyper_opt.log"):
            recorder.start()
            if journal.spoilt:
                log.error("%d records of %s are spoilt; the database has them, or their trials are trained again",
                          journal.spoilt, journal.path)  # fmt: skip
            try:
                _wait_for_room(recorder)
                _experiment(store, settings, recorder, config, journal, work_dir, log_dir, zygote)
                state = SweepState.COMPLETED
            except (Interrupted, KeyboardInterrupt):
                state = SweepState.STOPPED
            except (LeaseLost, Released, StoreUnavailable):
                recorder.close()
                raise
            except OSError as problem:
                if problem.errno in NO_ROOM:
                    recorder.set(held=HELD_BY_DISK.format(problem))
                    recorder.close()
                    raise
                error = _unexpected(problem)
            except NhopError as problem:
                error = str(problem)
                log.error("the sweep failed: %s", error)
            except Exception as problem:
                error = _unexpected(problem)
            recorder.finish(state, FINISH_SECONDS, error=error)
            shutil.rmtree(work_dir / CHECKPOINTS, ignore_errors=True)
            journal.close()
    return state


def _without_room(store: Store, sweep: dict[str, Any], problem: OSError) -> SweepState:
    """Say on its page what a sweep waits for that could not even begin; end it if the user has stopped it.

    Raises:
        OSError: the *problem*; it is to be resumed.
    """
    sweep_id, fence = sweep["_id"], sweep["lease"]["fence"]
    if sweep.get("stop_requested"):
        give_up(store, sweep, str(problem), clock())
        return SweepState(store.sweeps.get(sweep_id)["state"])
    told = {"held": HELD_BY_DISK.format(problem)}
    store.sweeps.update(sweep_id, fence, told)
    store.events.append(sweep_id, [(EventType.SWEEP, told, clock())], fence)
    raise problem


def _unexpected(problem: Exception) -> str:
    log.error("the sweep failed", exc_info=problem)
    return f"an error of the program: {type(problem).__name__}: {problem}"


def _wait_for_room(recorder: Recorder) -> None:
    """Begin nothing while the disk is full.

    Raises:
        Interrupted: the user stopped the sweep meanwhile.
        LeaseLost: another optimizer owns it.
    """
    recorder.look_for_room()
    if recorder.held is None:
        return
    while why := recorder.held:
        _hold(recorder, why)
    recorder.set(held=None)


def _hold(recorder: Recorder, why: str) -> None:
    """Do nothing for a while, and say why.

    Raises:
        Interrupted: the user stopped the sweep meanwhile.
        LeaseLost: another optimizer owns it.
    """
    if recorder.lost.is_set():
        raise LeaseLost("another optimizer owns the sweep")
    if recorder.wishes.stop:
        raise Interrupted
    if recorder.sweep.get("held") != why:
        recorder.set(held=why)
    time.sleep(ROOM_SECONDS)


def _prepared(config: SweepConfig, fetch: Any, path: Path, recorder: Recorder) -> Parts | Texts:
    """The data of the sweep, once they could be written to *path*: while the disk is full, that is waited for.

    Raises:
        DataError: the data cannot be used.
        Interrupted, LeaseLost: as `_hold`.
    """
    data = None
    while True:
        try:
            data = data or prepare(config, fetch)
            data.save(path)
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno not in NO_ROOM:
                raise
            for _ in range(RETRIES_APART):
                _hold(recorder, HELD_BY_DISK.format(f"{path} cannot be written: there is no room on the disk"))
        else:
            return data


def _alone(work_dir: Path) -> IO[str]:
    """The lock that makes this the only process on this machine that runs the sweep; one before may just be ending.

    Raises:
        StateError: it goes on.
    """
    file = (work_dir / "lock").open("a")
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise StateError(f"another process here still runs the sweep: it holds {file.name}") from None
            time.sleep(0.05)


def _log_dir(config: SweepConfig, sweep_id: str) -> Path:
    try:
        path = Path(config.train_log_dir).expanduser() / sweep_id
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:
        if getattr(error, "errno", None) in NO_ROOM:
            raise
        reason = getattr(error, "strerror", None) or error
        raise ConfigError([Problem("train_log_dir", f"{config.train_log_dir} cannot be made: {reason}")]) from None
    return path


def _experiment(
    store: Store,
    settings: Settings,
    recorder: Recorder,
    config: SweepConfig,
    journal: Journal,
    work_dir: Path,
    log_dir: Path,
    zygote: Zygote | None,
) -> None:
    """Run the sweep as a Sacred run of the experiment `optimizer`."""
    SETTINGS.CAPTURE_MODE = "sys"
    SETTINGS.CONFIG.READ_ONLY_CONFIG = False
    experiment = Experiment("optimizer", base_dir=str(ROOT), save_git_info=False)
    experiment.logger = logging.getLogger("nhop")
    experiment.observers.append(SweepObserver(store, recorder))
    for source in sorted((ROOT / "engine").rglob("*.py")):
        experiment.add_source_file(str(source))  # Sacred finds only what this process imports, not what trains
    _note_commit(experiment.sources)
    experiment.add_config(config.model_dump(mode="json"))

    def optimize(_run: Any) -> float | None:
        def on_result(trial: Trial, best: float, completed: int) -> None:
            if trial.loss is not None:
                _run.log_scalar("loss", trial.loss, trial.number)
                _run.log_scalar("best_loss", min(best, trial.loss), completed)

        try:
            return _optimize(store, settings, recorder, config, journal, work_dir, log_dir, zygote, on_result)
        except SweepStopped:
            log.info("stopped by the user; the results so far are kept")
            raise Interrupted from None
        finally:
            _run._get_captured_output()  # else Sacred forgets what came since the last beat, unless all went well

    experiment.main(optimize)
    experiment.run(options={"--loglevel": "INFO"})


def _note_commit(sources: Collection[Source]) -> None:
    """Note repository and commit of the *sources*, once for all: Sacred asks git for each of them, which takes seconds.

    Without git, and where git distrusts the folder's owner, the run is recorded without.
    """
    try:
        found = get_commit_if_possible(str(Path(__file__)), save_git_info=True)
    except Exception as error:
        log.info("the run is recorded without its commit: %s", str(error).strip().partition("\n")[0])
        return
    first = min(sources, key=lambda source: source.filename)
    first.repo, first.commit, first.is_dirty = found


def _optimize(
    store: Store,
    settings: Settings,
    recorder: Recorder,
    config: SweepConfig,
    journal: Journal,
    work_dir: Path,
    log_dir: Path,
    zygote: Zygote | None,
    on_result: Any,
) -> float | None:
    processes: dict[str, dict[str, Any]] = {}

    def tell(process: dict[str, Any]) -> None:
        processes[f"{process['role']}_{process['index']}"] = process
        recorder.set(processes=dict(processes))
        recorder.event(EventType.PROCESS, process)

    before = recorder.sweep
    newest = store.events.latest(before["_id"]) if before["lease"]["fence"] > 1 else None
    interrupted = newest.at if newest else None
    data_path, modules = work_dir / "data.npz", work_dir / "classes"
    config = _with_class(store, config, modules)
    plan = ClusterPlan.of(config, names_of(settings))
    elsewhere = Elsewhere(store, recorder.sweep["_id"], recorder.sweep["lease"]["fence"]) if plan.remote else None
    deadlines = Deadlines(silent=config.worker_deadline, stopped=min(config.worker_deadline, Deadlines().stopped))
    cluster = Cluster(
        plan, data_path, log_dir, tell, elsewhere=elsewhere, deadlines=deadlines,
        wait_for_all=config.missing_hosts == "wait", modules=modules if config.model_class else None,
        zygote=zygote, tell_used=recorder.used,
    )  # fmt: skip
    cluster.start()
    try:
        data = _prepared(config, lambda name: store.datasets.fetch(name, work_dir), data_path, recorder)
        dimensions = (data.token_count, len(data.classes)) if isinstance(data, Texts) else None
        report = not config.model_class  # it is made with the built-in models alone
        before = recorder.sweep
        sweep_id = before["_id"]
        store.models.describe(sweep_id, data.about())
        if isinstance(data, Parts):
            recorder.set(baseline=data.linear_baseline())
        models = work_dir / "models"
        stored = {trial["number"]: trial for trial in store.trials.of_sweep(sweep_id, curves=True, limit=0)}
        known, ended = resume.known(stored, before, journal.records)
        for number in resume.not_ours(known, journal.records):
            (models / f"{number}.npy").unlink(missing_ok=True)
        if known:
            log.info("resumed: %d trials are already recorded", len(known))
            recorder.metrics.restore(_metrics(known))
            _tell_again(store, recorder, stored, known)
            _keep_again(store, recorder, known, models)
            _forget_what_is_recorded(stored, known, journal)
        reporter = Reporter(store, recorder, data, models, len(config.stages))
        optimizer = Optimizer(
            sweep_id, config, cluster, recorder, clock, known, ended, on_result, models, dimensions,
            reporter.stage_ended if report else lambda index, best: None, work_dir / CHECKPOINTS, interrupted,
        )  # fmt: skip
        best = optimizer.run()
        if report:
            reporter.ended(best, recorder.sweep.get("confirmed") or [])
        log.info("best loss %.6g, trial %d", best.loss, best.number)
        return best.loss
    finally:
        cluster.stop()


def _with_class(store: Store, config: SweepConfig, folder: Path) -> SweepConfig:
    """*config* with the user's class found and its axes known, if it has one; its file is put into *folder*.

    Raises:
        ConfigError: the class cannot be used, or no longer has these axes; the traceback is in the log.
    """
    if not config.model_class:
        return config
    folder.mkdir(exist_ok=True)
    try:
        return settle(config, store.model_files.fetch, folder)
    except ConfigError as error:
        if traceback := getattr(error.__cause__, "traceback", ""):
            log.error("%s cannot be used:\n%s", config.model_class, traceback.strip())
        raise


def _tell_again(store: Store, recorder: Recorder, stored: Stored, known: list[Trial]) -> None:
    """Record once more what earlier processes had on this machine's disk when they died, but perhaps nowhere else."""
    sweep_id = recorder.sweep["_id"]
    told = store.events.newest(sweep_id, EventType.TRIAL, 1)
    since = told[0].at - UNTOLD if told else None
    for trial in known:
        told_state = stored.get(trial.number, {}).get("state")
        if trial.finished and (told_state != trial.state or since is None or trial.finished > since):
            recorder.recorded(trial)
        if trial.state is TrialState.COMPLETED and told_state != trial.state:
            recorder.set(restarts=0)  # the one that died had got on


def _keep_again(store: Store, recorder: Recorder, known: list[Trial], folder: Path) -> None:
    """Have the networks kept that earlier processes had trained, and had not yet kept, when they died."""
    kept = set(store.models.kept(recorder.sweep["_id"]))
    for trial in known:
        path = folder / f"{trial.number}.npy"
        if trial.state is TrialState.COMPLETED and trial.number not in kept and path.exists():
            recorder.model(trial.number, path)


def _forget_what_is_recorded(stored: Stored, known: list[Trial], journal: Journal) -> None:
    """Keep no more in memory than an optimizer that has run from the start: of thousands of trials no curves."""
    stored.clear()
    journal.records.clear()
    for trial in known:
        if trial.finished:
            trial.curve, trial.figures = NO_CURVE, NO_FIGURES


def _metrics(known: list[Trial]) -> dict[str, list[Point]]:
    """The run's metrics as they were when the last of the *known* trials ended."""
    ended = sorted(
        (trial.finished, trial.number, trial.loss)
        for trial in known
        if trial.finished and trial.loss is not None and trial.confirms is None
    )
    best = accumulate((loss for _, _, loss in ended), min)
    return {
        "loss": [(number, loss, at) for at, number, loss in ended],
        "best_loss": [(count, loss, at) for count, (loss, (at, _, _)) in enumerate(zip(best, ended, strict=True), 1)],
    }


class _ToPage(logging.Handler):
    """Sends log lines to the sweep's page, but for what Sacred tells of its run: the page shows that otherwise."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(logging.INFO)
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and "sacred" in Path(record.pathname).parts:
            return
        self._recorder.line(record.levelname, self.format(record))


@contextmanager
def _logging(recorder: Recorder, path: Path) -> Iterator[None]:
    """Send the log to the file, the page, and the output that Sacred captures."""
    logger = logging.getLogger("nhop")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    line = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handlers: list[logging.Handler] = [logging.FileHandler(path), _Stdout(), _ToPage(recorder)]
    for handler in handlers[:2]:
        handler.setFormatter(line)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _Stdout(logging.Handler):
    """Writes to whatever standard output is at the moment: Sacred exchanges it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(clipped(self.format(record)), file=sys.stdout)
        except (OSError, UnicodeError):  # no room on the disk, say
            self.handleError(record)
