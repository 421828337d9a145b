"""One parameter server or worker of a sweep on this machine, described by TF_CONFIG as TensorFlow's users know it.

    TF_CONFIG='{"cluster": {"ps": ["a:2223"], "worker": ["a:2225", "b:2225"]},
                "task": {"type": "worker", "index": 1}}' python -m engine.cluster.server

It serves until it is ended. The sweep whose ps_hosts and worker_hosts name these addresses finds it and uses it. It
listens on every interface, without authentication, as TensorFlow's servers do: only trusted machines may reach it.

Environment: NHOP_THREADS, threads of a worker (default: all cores); CUDA_VISIBLE_DEVICES, its GPU (default: none).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from engine.cluster.process import ENVIRONMENT
from engine.cluster.spec import PS, WORKER
from engine.errors import ClusterError
from engine.identity import die_with_parent
from engine.lean import load_tensorflow


def read_task(given: str | None) -> dict[str, Any]:
    """The task that TF_CONFIG describes: {role, index, jobs, address}.

    Raises:
        ClusterError: naming what is wrong with it.
    """
    if not given:
        raise ClusterError('TF_CONFIG is not set; it must be {"cluster": {"ps": […], "worker": […]}, "task": {…}}')
    try:
        config = json.loads(given)
        cluster, task = config["cluster"], config["task"]
        jobs = {role: [str(address) for address in cluster[role]] for role in (PS, WORKER)}
        role, index = str(task["type"]), int(task["index"])
    except json.JSONDecodeError as error:
        raise ClusterError(f"TF_CONFIG is not valid JSON: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ClusterError(
            f'TF_CONFIG lacks {error}; it must be {{"cluster": {{"ps": […], "worker": […]}}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from None
    if role not in jobs:
        raise ClusterError(f"TF_CONFIG: task.type must be ps or worker, got {role!r}; the chief is the optimizer's own")
    if not 0 <= index < len(jobs[role]):
        raise ClusterError(f"TF_CONFIG: task.index {index} is not one of the {len(jobs[role])} in cluster.{role}")
    return {"role": role, "index": index, "jobs": jobs, "address": jobs[role][index]}


def main(environ: Mapping[str, str] = os.environ) -> int:
    if parent := environ.get("NHOP_PARENT"):
        die_with_parent(int(parent))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    try:
        task = read_task(environ.get("TF_CONFIG"))
    except ClusterError as error:
        print(f"nhop server: {error}", file=sys.stderr)
        return 2
    os.environ.update({**ENVIRONMENT, **{key: environ[key] for key in ENVIRONMENT if key in environ}})
    cores = os.cpu_count() or 1
    os.environ.setdefault("NHOP_THREADS", str(cores if task["role"] == WORKER else 1))
    load_tensorflow()
    from engine.cluster import roles

    try:
        server = roles.serve(task)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        print(f"nhop server: {task['address']} cannot be served: {reason}; is its port in use?", file=sys.stderr)
        return 1
    print(f"{task['role']} {task['index']} serves {task['address']}", flush=True)
    server.join()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
