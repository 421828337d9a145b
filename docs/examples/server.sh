#!/bin/sh
# One server of a sweep on this machine: run it on each host, with the same hosts as in the sweep's form.
#
#   PS_HOSTS=a:2223 WORKER_HOSTS=a:2225,b:2225 docs/examples/server.sh worker 1
#
# The second argument counts from 0, in the order of the hosts. Ctrl-C ends it.
set -eu
cd "$(dirname "$0")/../.."

list() { printf '"%s"' "$1" | sed 's/ //g; s/,/","/g'; }

TF_CONFIG="{\"cluster\": {\"ps\": [$(list "$PS_HOSTS")], \"worker\": [$(list "$WORKER_HOSTS")]},
            \"task\": {\"type\": \"$1\", \"index\": $2}}"
export TF_CONFIG
exec "${PYTHON:-.venv/bin/python}" -m engine.cluster.server
