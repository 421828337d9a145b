"""The plan of a cluster."""

from __future__ import annotations

from engine.cluster.spec import ClusterPlan, Member
from engine.config import parse


def plan_of(**values: object) -> ClusterPlan:
    return ClusterPlan.of(parse(values))


def test_the_default_cluster_is_the_references() -> None:
    plan = plan_of()
    assert plan.jobs == {
        "ps": ["localhost:2223", "localhost:2224"],
        "worker": ["localhost:2225", "localhost:2226", "localhost:2227", "localhost:2228"],
    }
    assert [member.name for member in plan.servers] == ["ps_0", "ps_1", "worker_0", "worker_1", "worker_2", "worker_3"]
    assert plan.parallelism == "trials"


def test_worker_i_uses_gpu_i_modulo_their_number() -> None:
    plan = plan_of(num_gpus=3)
    gpus = [plan.environment(member, 8)["CUDA_VISIBLE_DEVICES"] for member in plan.servers]
    assert gpus == ["-1", "-1", "0", "1", "2", "0"]


def test_without_gpus_nobody_sees_one() -> None:
    plan = plan_of()
    assert {plan.environment(member, 8)["CUDA_VISIBLE_DEVICES"] for member in plan.servers} == {"-1"}


def test_workers_share_the_cores_and_each_has_at_least_one() -> None:
    plan = plan_of()
    worker, server = Member("worker", 0, ""), Member("ps", 0, "")
    assert plan.environment(worker, 16)["NHOP_THREADS"] == "4"
    assert plan.environment(worker, 2)["NHOP_THREADS"] == "1"
    assert plan.environment(server, 16)["NHOP_THREADS"] == "1"


def test_on_other_ports_parameter_servers_come_first_and_all_else_stays() -> None:
    plan = plan_of(num_gpus=2, parallelism="async").on_ports([1, 2, 3, 4, 5, 6])
    assert plan == ClusterPlan(
        ("localhost:1", "localhost:2"),
        ("localhost:3", "localhost:4", "localhost:5", "localhost:6"),
        "async",
        2,
    )


def test_the_chief_has_no_number_in_its_name() -> None:
    assert Member("chief", 0, "").name == "chief"


MIXED = {"ps_hosts": "localhost:1,b:2", "worker_hosts": "localhost:3,a:4,B:5,b:6,c:7"}


def test_the_servers_of_other_machines_are_those_whose_hosts_are_not_this_ones_names() -> None:
    plan = ClusterPlan.of(parse(MIXED), here={"a", "10.0.0.1"})
    assert [member.name for member in plan.remote] == ["ps_1", "worker_2", "worker_3", "worker_4"]
    assert [member.host for member in plan.remote] == ["b", "b", "b", "c"]


def test_the_workers_of_each_machine_share_its_own_cores() -> None:
    plan = ClusterPlan.of(parse(MIXED), here={"a"})
    threads = {member.name: plan.environment(member, 8)["NHOP_THREADS"] for member in plan.servers}
    assert threads == {"ps_0": "1", "ps_1": "1", "worker_0": "4", "worker_1": "4", "worker_2": "4", "worker_3": "4",
                       "worker_4": "8"}  # fmt: skip


def test_other_machines_are_told_an_address_that_means_the_same_to_them() -> None:
    plan = ClusterPlan.of(parse(MIXED), here={"a"}).seen_from_elsewhere("10.0.0.1")
    assert plan.jobs == {"ps": ["10.0.0.1:1", "b:2"], "worker": ["10.0.0.1:3", "a:4", "B:5", "b:6", "c:7"]}
    assert [member.name for member in plan.remote] == ["ps_1", "worker_2", "worker_3", "worker_4"]
