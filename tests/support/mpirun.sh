#!/bin/sh
# Stands in for mpirun in `mpirun -n RANKS PROGRAM ARGUMENTS`: rank 0 alone, which is what NWQ-Sim prints of.
[ "$1" = -n ] && [ "$2" -ge 1 ] || { echo "mpirun: -n RANKS expected, not $*" >&2; exit 2; }
shift 2
exec "$@"
