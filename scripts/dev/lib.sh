# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share. Source it first: it sets the shell's options and goes to the checkout.
set -euo pipefail
export LC_ALL=C.UTF-8
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
cd "$root"
# A checkout is set up for itself: what the caller's environment says about other Pythons does not count.
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
venv=$root/.venv
build=$root/build/dev

say() { printf '%s\n' "$*"; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# timed TEXT COMMAND...: says what runs, runs it, says how long it took.
timed() {
  local text=$1 start=${EPOCHREALTIME/[^0-9]/} status=0 spent
  shift
  say "--> $text"
  "$@" || status=$?
  spent=$(((${EPOCHREALTIME/[^0-9]/} - start) / 100000))
  if ((status == 0)); then
    say "    $text: $((spent / 10)).$((spent % 10)) s"
  else
    say "    $text: FAILED (status $status) after $((spent / 10)).$((spent % 10)) s"
  fi
  return "$status"
}

# logged FILE COMMAND...: output goes to FILE; only when the command fails, its end is shown.
logged() {
  local log=$1 status=0
  shift
  "$@" >"$log" 2>&1 || status=$?
  if ((status != 0)); then
    tail -n 40 "$log" >&2
    say "    (the whole output: $log)" >&2
  fi
  return "$status"
}

# again COMMAND...: up to three tries, for what a network can spoil.
again() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    say "try $try of 3 failed: $1 ${2-}"
    ((try == 3)) || sleep $((try * 3))
  done
  return 1
}

cpus() { nproc; }
