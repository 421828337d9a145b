#!/bin/sh
# A parameter server and a worker on every node of a Slurm job:
#
#   sbatch --nodes=4 --cpus-per-task=8 --time=08:00:00 docs/examples/slurm.sh
#
# The job's output says what to put into the sweep's form. The dashboard's machine must reach the nodes.
#SBATCH --job-name=nhop-servers
#SBATCH --ntasks-per-node=1
set -eu
cd "${SLURM_SUBMIT_DIR:?start it with sbatch, in the folder of the program}"

hosts() { # the nodes with a port each, separated by commas
    scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/\$/:$1/" | paste -s -d , -
}

PS_HOSTS=$(hosts 2223)
WORKER_HOSTS=$(hosts 2225)
NHOP_THREADS=${SLURM_CPUS_PER_TASK:-1}
export PS_HOSTS WORKER_HOSTS NHOP_THREADS
echo "ps_hosts: $PS_HOSTS"
echo "worker_hosts: $WORKER_HOSTS"
exec srun sh -c 'docs/examples/server.sh ps "$SLURM_NODEID" & exec docs/examples/server.sh worker "$SLURM_NODEID"'
