#!/usr/bin/env bash
# An interactive hybrid session: a shell, or the command given, in a job of a compute node and a quantum node.
#   ./interactive.sh            then: qfw_setup.sh; qfw_srun.sh -n 1 python3 application.py; qfw_teardown.sh
#   ./interactive.sh COMMAND...
set -euo pipefail
[ $# -gt 0 ] || set -- "${SHELL:-bash}"
exec salloc --partition=compute --nodes=1 --ntasks-per-node=2 : --partition=quantum --nodes=1 --ntasks=1 --gres=qc:QC:1 "$@"
