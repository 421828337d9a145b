"""A private network namespace: a loopback of one's own, and nothing else.

TensorFlow's servers listen on all interfaces, without authentication, whatever their address says. In here
nobody outside can reach them, and every sweep has all ports to itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP_AND_RUNNING = 0x1 | 0x40


def enter() -> bool:
    """Move this process, which must have one thread, into a network namespace of its own.

    Returns:
        False where the system does not allow it; the process is then as it was.
    """
    if not sys.platform.startswith("linux"):
        return False
    pid = os.fork()  # some systems allow the first step and refuse the next: try with a process that may be lost
    if pid == 0:
        try:
            _move()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1] != 0:
        return False
    _move()
    return True


def _move() -> None:
    """
    Raises:
        OSError: the system refuses it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_AND_RUNNING))
