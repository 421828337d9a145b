"""The optimizer process that a daemon starts for one sweep it has claimed.

    python -m engine.child SWEEP_ID FENCE DAEMON_PID [LOG_DIR PRIVATE]

With the last two it starts the sweep's zygote before it loads itself, so that TensorFlow's import, which takes longest,
begins at once. Exit codes: 0, the sweep has ended or belongs to another; 1, it must be resumed; 75 (EX_TEMPFAIL), the
same, for the database was silent, the disk full, or another process here runs it, which is not held against the sweep.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from engine.cluster.process import Zygote, start_zygote
from engine.identity import die_with_parent

ROOM_SECONDS = 10.0
"""How long a process that has found no room waits before another one tries."""


def main(sweep_id: str, fence: int, daemon: int, log_dir: str = "", private: str = "") -> int:
    die_with_parent(daemon)
    return run(sweep_id, fence, _zygote(Path(log_dir), private == "1") if log_dir else None)


def _zygote(log_dir: Path, private: bool) -> Zygote | None:
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        return start_zygote(log_dir, private)
    except (OSError, ValueError):  # whoever needs it will say so
        return None


def run(sweep_id: str, fence: int, zygote: Zygote | None) -> int:
    """Run the sweep to its end, if it is still this process's; returns the exit code."""
    from engine import settings as settings_module  # these take a second or two
    from engine.errors import NO_ROOM, LeaseLost, NhopError, StateError, StoreUnavailable
    from engine.points import reached
    from engine.session import Released, run_sweep
    from engine.store import connect
    from engine.store.embedded import uri_of

    def release(*_: object) -> None:
        raise Released

    signal.signal(signal.SIGTERM, release)
    settings = settings_module.load()
    store = connect(uri_of(settings), settings.database)
    try:
        sweep = store.sweeps.get(sweep_id)
        if sweep["lease"]["fence"] != fence:
            raise LeaseLost(f"sweep {sweep_id} was claimed again under fence {sweep['lease']['fence']}")
        reached("optimizer-begins", sweep=sweep_id, fence=fence)
        run_sweep(store, settings, sweep, zygote)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except LeaseLost as error:
        print(error, file=sys.stderr)
        return 0
    except (StoreUnavailable, StateError) as error:  # the second: another process here runs it, or sleeps
        print(error, file=sys.stderr)
        return os.EX_TEMPFAIL
    except NhopError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        with suppress(OSError):
            print(f"there is no room: {error}", file=sys.stderr, flush=True)
        time.sleep(ROOM_SECONDS)
        os._exit(os.EX_TEMPFAIL)  # what waits for standard output may find no room either
    except Released:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))
