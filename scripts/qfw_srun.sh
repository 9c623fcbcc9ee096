#!/usr/bin/env bash
# Runs a program against the current run: qfw_srun.sh [OPTION...] python3 app.py ..., or app.py ...; --help shows more.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
lib=$here/lib.sh
[ -e "$lib" ] || lib=$here/../share/qfw/lib.sh # installed
# shellcheck source=scripts/lib.sh
source "$lib"
python=$(qfw_python "$here")
exec "$python" -P -m qfw.cli.launch srun "$@"
