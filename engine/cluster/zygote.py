"""The zygote: imports TensorFlow once, never runs an operation, and forks every process of a sweep.

It enters the private network namespace, so all that it forks lives there. A child that ends is reported; when
the optimizer's end of the control socket closes, or the optimizer dies, everything ends.

    python -m engine.cluster.zygote CONTROL_FD LOG_DIR PARENT_PID PRIVATE
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from engine.cluster import namespace
from engine.cluster.channel import Channel, Message
from engine.identity import die_with_parent
from engine.lean import load_tensorflow
from engine.points import reached


def main(control_fd: int, log_dir: Path, parent: int, private: bool) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inside = private and namespace.enter()
    _output_to(log_dir / "zygote.log")
    control = Channel(socket.socket(fileno=control_fd))
    control.send({"private": inside})
    load_tensorflow()
    from engine.cluster import roles

    gc.freeze()
    control.send({"imported": True})
    Zygote(control, log_dir, roles.run).serve()


class Zygote:
    """Forks on command and reports what ends."""

    def __init__(self, control: Channel, log_dir: Path, run: Any) -> None:
        self._control = control
        self._log_dir = log_dir
        self._run = run
        self._children: dict[int, str] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def serve(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._reap()
        sources: list[Any] = [self._control, self._wake_read]
        while True:
            ready = select.select(sources, [], [])[0]
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._reap()
            if self._control in ready:
                messages, fds = self._control.receive_with_fd()
                if messages is None:
                    return self._end()
                for message in messages:
                    self._fork(message, fds)
                for fd in fds:
                    os.close(fd)

    def _fork(self, message: Message, fds: list[int]) -> None:
        zygote = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = message["name"]
            reached("process-forked")
            self._control.send({"started": message["name"], "pid": pid})
            return
        try:
            die_with_parent(zygote)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in (self._wake_read, self._wake_write, *fds[1:]):
                os.close(fd)
            self._control.close()
            os.environ.update(message["environment"])
            _output_to(self._log_dir / f"{message['name']}.log")
            self._run(message, Channel(socket.socket(fileno=fds[0])))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._children.pop(pid, "?")
            self._control.send({"exited": name, "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _end(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)


def _output_to(path: Path) -> None:
    """Send this process's output, TensorFlow's own lines included, to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1")
