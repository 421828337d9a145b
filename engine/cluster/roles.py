"""What the forked processes do. The only module of the cluster that imports TensorFlow."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.cluster.channel import Channel, Message
from engine.cluster.ports import free_ports
from engine.cluster.spec import CHIEF, PROXY, PS, WORKER
from engine.data import load
from engine.errors import NO_ROOM
from engine.points import reached
from engine.training import checkpoint as checkpoints
from engine.training.distributed import TRAINERS
from engine.training.job import Job
from engine.training.local import LocalTrainer
from engine.training.trainer import Trainer

ROOM_SECONDS = 1.0
"""Between two attempts to write to a full disk."""
SERVER_INTER_OP = 2
"""With 1, a worker that reads a variable of a parameter server hangs."""


OTHERS_LOST: tuple[type[Exception], ...] = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
    tf.errors.NotFoundError,
)
"""What TensorFlow says when a process that this one works with has died; this one is then of no use either."""


def serve(message: Message) -> Any:
    """Start this process's TensorFlow server: the member {role, index} of the cluster {jobs}."""
    threads = int(os.environ["NHOP_THREADS"])
    options = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=SERVER_INTER_OP
    )
    options.gpu_options.allow_growth = True
    return tf.distribute.Server(
        tf.train.ClusterSpec(message["jobs"]),
        job_name=message["role"],
        task_index=message["index"],
        protocol="grpc",
        config=options,
    )


def parameter_server(message: Message, channel: Channel) -> None:
    """Hold variables until the channel closes."""
    server = serve(message)
    channel.send({"ready": True})
    _until_closed(channel)
    del server


def worker(message: Message, channel: Channel) -> None:
    """Serve the chief; in trials mode, train the trials that the optimizer sends."""
    server = serve(message)
    if message["parallelism"] != "trials":
        channel.send({"ready": True})
        _until_closed(channel)
        return
    _use_threads(int(os.environ["NHOP_THREADS"]), inter_op=1)
    trainer = LocalTrainer(load(Path(message["data"])))
    channel.send({"ready": True})
    train_all(trainer, channel, ())
    del server


def proxy(message: Message, channel: Channel) -> None:
    """Train on a worker of another machine what the optimizer sends: the chief of a cluster of one."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _use_threads(1, inter_op=2)
    index = message["index"]
    tf.config.experimental_connect_to_cluster(
        tf.train.ClusterSpec(
            {WORKER: {index: message["jobs"][WORKER][index]}, CHIEF: [f"{message['address']}:{free_ports(1)[0]}"]}
        ),
        job_name=CHIEF,
        task_index=0,
    )
    devices = [device.name for device in tf.config.list_logical_devices() if f"/job:{WORKER}/" in device.name]
    gpus = [name for name in devices if "GPU" in name]
    trainer = LocalTrainer(load(Path(message["data"])), (gpus or devices)[0])
    channel.send({"ready": True})
    train_all(trainer, channel)


def chief(message: Message, channel: Channel) -> None:
    """Coordinate the workers: all of them train one trial, its variables on the parameter servers."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _use_threads(1, inter_op=2)
    jobs = {**message["jobs"], CHIEF: [f"{message['address']}:{free_ports(1)[0]}"]}
    trainer = TRAINERS[message["parallelism"]](load(Path(message["data"])), jobs)
    channel.send({"ready": True})
    train_all(trainer, channel)


def _use_threads(intra_op: int, inter_op: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(intra_op)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


class Orders:
    """What the optimizer sends, in order; ends the process when the optimizer is gone."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._unread: deque[Message] = deque()

    def waiting(self) -> bool:
        """Whether there is one."""
        return bool(self._unread) or self._channel.waiting()

    def next(self) -> Message:
        """The next one, when it comes."""
        while not self._unread:
            messages = self._channel.receive()
            if messages is None:
                os._exit(0)
            self._unread.extend(messages)
        return self._unread.popleft()


def train_all(trainer: Trainer, channel: Channel, elsewhere: tuple[type[Exception], ...] = OTHERS_LOST) -> None:
    """Train what the optimizer orders, one trial at a time.

    Args:
        elsewhere: errors that are not the trial's own; they end this process.
    """
    orders = Orders(channel)
    while True:
        order = orders.next()
        if "train" in order:
            _train(trainer, Job.from_message(order["train"]), channel, orders, elsewhere)


def _train(
    trainer: Trainer, job: Job, channel: Channel, orders: Orders, elsewhere: tuple[type[Exception], ...]
) -> None:
    about = {"number": job.number, "attempt": job.attempt}
    limits = dict(job.limits)
    reached("trial-begins", **about, keep=job.keep)
    try:
        checkpoint = checkpoints.read(job) if job.checkpoint else None
        if checkpoint is not None:
            channel.send({"resumed": {**about, "step": checkpoint.step}})
        for progress in trainer.train(job, checkpoint):
            if not all(math.isfinite(loss) for loss in (progress.train, progress.val or 0.0)):
                channel.send({"failed": {**about, "step": progress.step, "error": _diverged(progress.step)}})
                return
            if progress.done and job.keep:
                _keep(
                    trainer.parameters(), Path(job.keep), lambda why: channel.send({"waiting": {**about, "why": why}})
                )
                reached("model-kept")
            news = {**about, "step": progress.step, "train": progress.train, "val": progress.val,
                    "figures": dict(progress.figures), "test": progress.test, "rung": progress.rung}  # fmt: skip
            reached("trial-ends" if progress.done else "trial-goes-on", **about, keep=job.keep)
            if not channel.send({"done" if progress.done else "progress": news}):
                os._exit(0)
            if progress.done:
                return
            if not _may_go_on(about, orders, limits):
                channel.send({"cancelled": {**about, "step": progress.step}})
                return
            if progress.rung is not None:
                rung, loss = progress.rung
                if loss > limits[rung]:
                    ended = {"step": progress.step, "rung": rung, "loss": loss, "limit": limits[rung]}
                    channel.send({"pruned": {**about, **ended}})
                    return
    except elsewhere:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(os.EX_TEMPFAIL)
    except Exception:
        channel.send({"failed": {**about, "step": 0, "error": traceback.format_exc(limit=-8)}})


def _keep(parameters: NDArray[np.float32], path: Path, tell: Callable[[str], bool]) -> None:
    """Write the file whole, or not at all; wait while the disk is full, and *tell* why, unless nobody hears it."""
    part = path.with_suffix(".part")
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.save(file, parameters, allow_pickle=False)
            part.replace(path)
            return
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            if not tell(f"waits for room on the disk, for {path}"):
                os._exit(0)
            time.sleep(ROOM_SECONDS)


def _may_go_on(about: Message, orders: Orders, limits: dict[int, float]) -> bool:
    """Whether the trial *about* is still wanted; waits while it is paused, and takes fresher *limits*."""
    paused = False
    while paused or orders.waiting():
        order = orders.next()
        if order.get("cancel") == about:
            return False
        if order.get("limit") == about:
            limits.update(order["to"])
        paused = order.get("pause", paused)
    return True


def _diverged(step: int) -> str:
    return f"the loss was no longer a finite number by step {step}; a smaller learning rate may help"


def _until_closed(channel: Channel) -> None:
    while channel.receive() is not None:
        pass


RUN_ROLES = {PS: parameter_server, WORKER: worker, PROXY: proxy, CHIEF: chief}


def run(message: Message, channel: Channel) -> None:
    """Be the process that *message* describes."""
    if message["modules"]:
        sys.path.append(message["modules"])
    RUN_ROLES[message["role"]](message, channel)
