"""The optimizer process that a daemon starts for one sweep it has claimed.

    python -m engine.child SWEEP_ID FENCE DAEMON_PID

Exit codes: 0, the sweep has ended or belongs to another; 1, it must be resumed.
"""

from __future__ import annotations

import signal
import sys

from engine import settings as settings_module
from engine.errors import LeaseLost, NhopError
from engine.identity import die_with_parent
from engine.points import reached
from engine.session import Released, run_sweep
from engine.store import connect
from engine.store.embedded import uri_of


def main(sweep_id: str, fence: int, daemon: int) -> int:
    die_with_parent(daemon)
    signal.signal(signal.SIGTERM, _release)
    settings = settings_module.load()
    store = connect(uri_of(settings), settings.database)
    try:
        sweep = store.sweeps.get(sweep_id)
        if sweep["lease"]["fence"] != fence:
            raise LeaseLost(f"sweep {sweep_id} was claimed again under fence {sweep['lease']['fence']}")
        reached("optimizer-begins", sweep=sweep_id, fence=fence)
        run_sweep(store, settings, sweep)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except LeaseLost as error:
        print(error, file=sys.stderr)
        return 0
    except NhopError as error:
        print(error, file=sys.stderr)
        return 1
    except Released:
        return 1
    return 0


def _release(*_: object) -> None:
    raise Released


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
