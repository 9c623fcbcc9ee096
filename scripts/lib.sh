# shellcheck shell=bash
# What qfw_setup.sh, qfw_srun.sh and qfw_teardown.sh share: finding the Python that has qfw.

# qfw_python DIRECTORY: prints a Python that can import qfw. DIRECTORY is where the calling script lies.
# In this order: $QFW_PYTHON, the active environment, the one the script was installed into, the checkout's .venv,
# python3 on the PATH.
qfw_python() {
  local candidate
  if [ -n "${QFW_PYTHON-}" ]; then
    if ! "$QFW_PYTHON" -P -c 'import qfw' 2>/dev/null; then
      printf 'qfw: QFW_PYTHON=%s cannot import qfw (it needs Python 3.11 and "pip install qfw")\n' "$QFW_PYTHON" >&2
      return 1
    fi
    printf '%s\n' "$QFW_PYTHON"
    return
  fi
  for candidate in ${VIRTUAL_ENV:+"$VIRTUAL_ENV/bin/python3"} "$1/python3" "$1/../.venv/bin/python3" python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -P -c 'import qfw' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  {
    echo 'qfw: found no Python that has qfw. One of these helps:'
    echo '  scripts/dev/setup            in a checkout of qfw'
    echo '  pip install qfw              into the active environment'
    echo '  export QFW_PYTHON=<python>   for one that has it already'
  } >&2
  return 1
}
