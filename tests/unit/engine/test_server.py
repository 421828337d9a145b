"""What TF_CONFIG may say, and the example scripts that write it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from engine.cluster.server import main, read_task
from engine.errors import ClusterError
from engine.settings import ROOT

CLUSTER = {"ps": ["a:2223"], "worker": ["a:2225", "b:2225"]}
EXAMPLES = ROOT / "docs" / "examples"


def config(**task: object) -> str:
    return json.dumps({"cluster": CLUSTER, "task": task})


def test_a_task_is_read() -> None:
    task = read_task(config(type="worker", index=1))
    assert task == {"role": "worker", "index": 1, "jobs": CLUSTER, "address": "b:2225"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "TF_CONFIG is not set"),
        ("", "TF_CONFIG is not set"),
        ("{", "TF_CONFIG is not valid JSON"),
        ("[]", "TF_CONFIG lacks"),
        ('{"cluster": {"ps": []}, "task": {}}', "TF_CONFIG lacks 'worker'"),
        (config(type="worker"), "TF_CONFIG lacks 'index'"),
        (config(type="chief", index=0), "task.type must be ps or worker, got 'chief'"),
        (config(type="worker", index=2), "task.index 2 is not one of the 2 in cluster.worker"),
        (config(type="worker", index=-1), "task.index -1 is not one of the 2"),
    ],
)
def test_a_wrong_task_is_refused_in_words(given: str | None, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ClusterError, match=message.replace("(", r"\(")):
        read_task(given)
    environ = {} if given is None else {"TF_CONFIG": given}
    assert main(environ) == 2
    assert capsys.readouterr().err.startswith("nhop server: TF_CONFIG")


def shown_task(command: list[str], folder: Path, **environment: str) -> list[dict[str, object]]:
    """The tasks with which a script would start servers: a stand-in for Python notes them."""
    python, notes = folder / "python", folder / "tasks"
    python.write_text(f'#!/bin/sh\nprintf "%s\\0" "$TF_CONFIG" >> {notes}\n')
    python.chmod(0o755)
    subprocess.run(
        command, check=True, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHON": str(python), **environment}
    )
    return [read_task(text) for text in notes.read_text().split("\0") if text]


def test_the_shell_example_describes_the_server_it_is_asked_for(tmp_path: Path) -> None:
    (task,) = shown_task(
        [str(EXAMPLES / "server.sh"), "worker", "1"], tmp_path, PS_HOSTS="a:2223", WORKER_HOSTS="a:2225, b:2225"
    )
    assert task == {"role": "worker", "index": 1, "jobs": CLUSTER, "address": "b:2225"}


def test_the_slurm_example_gives_each_node_a_parameter_server_and_a_worker(tmp_path: Path) -> None:
    """With stand-ins for Slurm's own commands; srun runs on one node of the two."""
    for name, script in {"scontrol": "printf 'n1\\nn2\\n'", "srun": 'SLURM_NODEID=1 "$@"; sleep 0.2'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    tasks = shown_task(
        [str(EXAMPLES / "slurm.sh")], tmp_path,
        PATH=f"{tmp_path}:{os.environ['PATH']}", SLURM_SUBMIT_DIR=str(ROOT), SLURM_JOB_NODELIST="n[1-2]",
    )  # fmt: skip
    jobs = {"ps": ["n1:2223", "n2:2223"], "worker": ["n1:2225", "n2:2225"]}
    assert sorted(tasks, key=lambda task: str(task["role"])) == [
        {"role": "ps", "index": 1, "jobs": jobs, "address": "n2:2223"},
        {"role": "worker", "index": 1, "jobs": jobs, "address": "n2:2225"},
    ]


def test_the_kubernetes_example_describes_every_pod_it_starts() -> None:
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))
    (cluster,) = [one["data"]["cluster"] for one in documents if one["kind"] == "ConfigMap"]
    for one in documents:
        if one["kind"] != "StatefulSet":
            continue
        (container,) = one["spec"]["template"]["spec"]["containers"]
        (script,) = container["args"]
        for index in range(one["spec"]["replicas"]):
            pod = f"{one['metadata']['name']}-{index}"
            shell = script.replace("exec python -m engine.cluster.server", 'printf "%s" "$TF_CONFIG"')
            told = subprocess.run(
                ["bash", "-c", shell], check=True, capture_output=True, text=True,
                env={"PATH": os.environ["PATH"], "CLUSTER": cluster, "HOSTNAME": pod},
            ).stdout  # fmt: skip
            assert read_task(told)["address"] == f"{pod}.nhop:2222"
