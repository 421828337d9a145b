"""One trial the reference's way: every process of the cluster a fresh Python that imports TensorFlow.

python -m bench.fresh NUMBER STEPS
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.cluster.machine import answers
from engine.cluster.ports import free_ports
from engine.cluster.process import ENVIRONMENT
from engine.config import parse
from engine.data import load, prepare

PS, WORKERS = 2, 4


def main(number: int, steps: int) -> None:
    from bench.training import jobs

    config = parse({"parallelism": "async"})
    job = jobs(config, number, steps)[-1]
    addresses = [f"127.0.0.1:{port}" for port in free_ports(PS + WORKERS + 1)]
    cluster = {"ps": addresses[:PS], "worker": addresses[PS:-1]}
    environment = {**os.environ, **ENVIRONMENT}
    servers = [
        subprocess.Popen([sys.executable, "-c", SERVER, repr(cluster), role, str(index)], env=environment)
        for role, hosts in cluster.items()
        for index in range(len(hosts))
    ]
    try:
        for address in addresses[:-1]:
            _wait(address)
        with tempfile.TemporaryDirectory() as folder:
            prepare(config).save(Path(folder) / "data.npz")
            os.environ.update(ENVIRONMENT)
            from engine.training.distributed import AsyncTrainer

            for _ in AsyncTrainer(load(Path(folder) / "data.npz"), {**cluster, "chief": addresses[-1:]}).train(job):
                pass
    finally:
        for server in servers:
            server.kill()
            server.wait()


SERVER = """
import ast, sys
import tensorflow as tf
options = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=2)
tf.distribute.Server(tf.train.ClusterSpec(ast.literal_eval(sys.argv[1])), job_name=sys.argv[2],
                     task_index=int(sys.argv[3]), protocol="grpc", config=options).join()
"""


def _wait(address: str) -> None:
    while not answers(address):
        time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
    os._exit(0)
