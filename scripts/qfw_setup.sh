#!/usr/bin/env bash
# Starts a local run of qfw and returns when its services are ready; the exit status tells. --help shows the options.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
lib=$here/lib.sh
[ -e "$lib" ] || lib=$here/../share/qfw/lib.sh # installed
# shellcheck source=scripts/lib.sh
source "$lib"
python=$(qfw_python "$here")
exec "$python" -P -m qfw.cli.launch setup "$@"
