"""The plan of a cluster: which processes there are, and where. Pure."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from engine.config import SweepConfig

PS, WORKER, CHIEF = "ps", "worker", "chief"
PROXY = "proxy"
"""A process here that stands for a worker on another machine."""

HERE = frozenset({"localhost", "127.0.0.1"})
"""What every machine calls itself."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the cluster.

    Attributes:
        address: host:port; empty for the chief, which serves nothing.
        remote: whether it lives on another machine.
    """

    role: str
    index: int
    address: str
    remote: bool = False

    @property
    def name(self) -> str:
        return self.role if self.role == CHIEF else sys.intern(f"{self.role}_{self.index}")  # each trial keeps one

    @property
    def host(self) -> str:
        return host_of(self.address)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """The members of a sweep's cluster, and how its trials use them."""

    ps: tuple[str, ...]
    workers: tuple[str, ...]
    parallelism: str
    num_gpus: int = 0
    here: frozenset[str] = HERE
    """The names of the machine that runs the sweep."""

    @staticmethod
    def of(config: SweepConfig, here: Collection[str] = HERE) -> ClusterPlan:
        return ClusterPlan(
            tuple(config.ps), tuple(config.workers), config.mode, config.num_gpus, frozenset(here) | HERE
        )

    @property
    def servers(self) -> list[Member]:
        """The parameter servers and workers."""
        return [
            Member(role, index, address, remote=host_of(address) not in self.here)
            for role, addresses in self.jobs.items()
            for index, address in enumerate(addresses)
        ]

    @property
    def jobs(self) -> dict[str, list[str]]:
        """The plan as TensorFlow's cluster specification."""
        return {PS: list(self.ps), WORKER: list(self.workers)}

    @property
    def remote(self) -> list[Member]:
        """The servers on other machines."""
        return [member for member in self.servers if member.remote]

    def on_ports(self, ports: Sequence[int]) -> ClusterPlan:
        """The same cluster on loopback and *ports*, parameter servers first."""
        addresses = [f"localhost:{port}" for port in ports]
        return replace(self, ps=tuple(addresses[: len(self.ps)]), workers=tuple(addresses[len(self.ps) :]))

    def with_port(self, member: Member, port: int) -> ClusterPlan:
        """The same cluster with *member* on another port."""
        moved = {role: list(addresses) for role, addresses in self.jobs.items()}
        moved[member.role][member.index] = f"{member.host}:{port}"
        return replace(self, ps=tuple(moved[PS]), workers=tuple(moved[WORKER]))

    def seen_from_elsewhere(self, address: str) -> ClusterPlan:
        """The same cluster with this machine's own names for itself replaced by *address*, which others know."""

        def known(addresses: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(f"{address}:{one.rpartition(':')[2]}" if host_of(one) in HERE else one for one in addresses)

        return replace(self, ps=known(self.ps), workers=known(self.workers), here=self.here | {address})

    def environment(self, member: Member, cores: int) -> dict[str, str]:
        """What a member's process must find in its environment: its GPU, and its share of its machine's *cores*."""
        return environment(member.role, member.index, self.num_gpus, self.workers_beside(member), cores)

    def workers_beside(self, member: Member) -> int:
        """How many workers there are on a worker's machine, itself included."""
        workers = [other for other in self.servers if other.role == WORKER]
        if not member.remote:
            return sum(not other.remote for other in workers) or 1
        return sum(other.host == member.host for other in workers) or 1


def environment(role: str, index: int, num_gpus: int, workers_beside: int, cores: int) -> dict[str, str]:
    """The environment of a process: worker i has GPU i modulo their number, and *cores* are shared by the workers."""
    if role != WORKER:
        return {"CUDA_VISIBLE_DEVICES": "-1", "NHOP_THREADS": "1"}
    return {
        "CUDA_VISIBLE_DEVICES": str(index % num_gpus) if num_gpus else "-1",
        "NHOP_THREADS": str(max(1, cores // workers_beside)),
    }


def host_of(address: str) -> str:
    """The host of host:port, in lower case."""
    return address.rpartition(":")[0].lower()
