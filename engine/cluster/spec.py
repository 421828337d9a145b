"""The plan of a cluster: which processes there are, and where. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.config import SweepConfig

PS, WORKER, CHIEF = "ps", "worker", "chief"

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GRPC_VERBOSITY": "NONE",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}
"""What the zygote must find in its environment: TensorFlow reads it when it is imported."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the cluster; *address* is host:port, empty for the chief, which serves nothing."""

    role: str
    index: int
    address: str

    @property
    def name(self) -> str:
        return self.role if self.role == CHIEF else f"{self.role}_{self.index}"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """The members of a sweep's cluster, and how its trials use them."""

    ps: tuple[str, ...]
    workers: tuple[str, ...]
    parallelism: str
    num_gpus: int = 0

    @staticmethod
    def of(config: SweepConfig) -> ClusterPlan:
        return ClusterPlan(tuple(config.ps), tuple(config.workers), config.mode, config.num_gpus)

    @property
    def servers(self) -> list[Member]:
        """The parameter servers and workers."""
        return [Member(PS, i, address) for i, address in enumerate(self.ps)] + [
            Member(WORKER, i, address) for i, address in enumerate(self.workers)
        ]

    @property
    def jobs(self) -> dict[str, list[str]]:
        """The plan as TensorFlow's cluster specification."""
        return {PS: list(self.ps), WORKER: list(self.workers)}

    def on_ports(self, ports: Sequence[int]) -> ClusterPlan:
        """The same cluster on loopback and *ports*, parameter servers first."""
        addresses = [f"localhost:{port}" for port in ports]
        return ClusterPlan(
            tuple(addresses[: len(self.ps)]), tuple(addresses[len(self.ps) :]), self.parallelism, self.num_gpus
        )

    def environment(self, member: Member, cores: int) -> Mapping[str, str]:
        """What a member's process must find in its environment: its GPU, and its share of the cores."""
        gpu = str(member.index % self.num_gpus) if member.role == WORKER and self.num_gpus else "-1"
        threads = max(1, cores // len(self.workers)) if member.role == WORKER else 1
        return {"CUDA_VISIBLE_DEVICES": gpu, "NHOP_THREADS": str(threads)}
