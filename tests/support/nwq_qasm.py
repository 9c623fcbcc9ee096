#!/usr/bin/env -S python3 -I -S
"""Stands in for NWQ-Sim's `nwq_qasm`: the same arguments, output and dumps as version 1.0 (commit 1a4f3c4 of
pnnl/NWQ-Sim), by a few lines of state-vector simulation. $QFW_STANDIN_NWQSIM names a way to fail. Tests take the copy
that `install` makes: `python3` on PATH may be a script that looks for a Python first, which takes longer than this."""

import cmath
import math
import os
import re
import signal
import struct
import sys
import time

# long name, letter, what it takes, help: as `--help` of 1.0 lists them
OPTIONS = (
    ("all_tests", "a", "", "Run all available testing benchmarks"),
    ("backend", "b", "BACKEND", "Specify the simulation backend"),
    ("backend_list", "", "", "Print the list of available simulation backends"),
    ("device", "", "FILE_PATH", "Specify the device noise profile"),
    ("disable_fusion", "", "", "Disable gate fusion "),
    ("dump_file", "", "FILE_PATH", "Path to dump the binary statevector/density matrix result"),
    ("help", "h", "", "Print this help message"),
    ("hw_threads", "", "INT", "Specify the number of OMP threads"),
    ("qasm_file", "q", "FILE_PATH", "Execute simulation with the given QASM file"),
    ("qasm_string", "", "STR", "Execute simulation with the provided QASM string"),
    ("random_seed", "", "INT", "Set the random seed for the simulation"),
    ("shots", "s", "SHOTS", "Specify the number of shots"),
    ("sim", "", "METHOD", "Specify the simulation method"),
)
DEFAULTS = {"shots": "1024", "backend": "cpu", "sim": "sv", "hw_threads": "-1", "random_seed": "0", "dump_file": ""}
FAILURES = ("", "exit", "truncated", "version", "double free", "hang", "shots", "chatter", "no dump", "children")
IM, H = 1j, math.sqrt(0.5)


def arguments(words):
    taken = dict(DEFAULTS)
    takes = {name: bool(value) for name, _, value, _ in OPTIONS}
    at = 0
    while at < len(words):
        name = words[at].removeprefix("--")
        if name not in takes:
            sys.stderr.write(f"{sys.argv[0]}: unrecognized option '{words[at]}'\nUnknown option: {words[at]}\n")
            raise SystemExit(1)
        taken[name] = words[at + 1] if takes[name] else "on"
        at += 2 if takes[name] else 1
    return taken


def usage(failure):
    print("Usage: program [OPTIONS]\n\nAvailable options:")
    for name, letter, value, text in OPTIONS:
        if failure != "version" or name != "dump_file":
            short = f"  -{letter}, " if letter else "      "
            print(f"{short}{'--' + name:<17}{f'<{value}>' if value else ' ':<13}{text:<44}")


def u(theta, phi, lam):
    c, s = math.cos(theta / 2), math.sin(theta / 2)
    return [[c, -cmath.exp(IM * lam) * s], [cmath.exp(IM * phi) * s, cmath.exp(IM * (phi + lam)) * c]]


def diagonal(*entries):
    return [[entry if row == column else 0 for column in range(len(entries))] for row, entry in enumerate(entries)]


def single(name, a):
    fixed = {
        "id": [[1, 0], [0, 1]],
        "x": [[0, 1], [1, 0]],
        "y": [[0, -IM], [IM, 0]],
        "z": [[1, 0], [0, -1]],
        "h": [[H, H], [H, -H]],
        "s": [[1, 0], [0, IM]],
        "sdg": [[1, 0], [0, -IM]],
        "t": [[1, 0], [0, cmath.exp(IM * math.pi / 4)]],
        "tdg": [[1, 0], [0, cmath.exp(-IM * math.pi / 4)]],
        "sx": [[(1 + IM) / 2, (1 - IM) / 2], [(1 - IM) / 2, (1 + IM) / 2]],
    }
    if name in fixed:
        return fixed[name]
    c, s = math.cos(a[0] / 2), math.sin(a[0] / 2)
    return {
        "p": lambda: diagonal(1, cmath.exp(IM * a[0])),
        "rx": lambda: [[c, -IM * s], [-IM * s, c]],
        "ry": lambda: [[c, -s], [s, c]],
        "rz": lambda: diagonal(c - IM * s, c + IM * s),
        "u": lambda: u(*a),
    }[name]()


def double(name, a):
    """A 4x4 matrix on (first, second), the first the more significant."""
    if name == "swap":
        return [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    if name in ("rxx", "ryy", "rzz"):
        c, s = math.cos(a[0] / 2), math.sin(a[0] / 2)
        if name == "rzz":
            return diagonal(c - IM * s, c + IM * s, c + IM * s, c - IM * s)
        outer = -IM * s if name == "rxx" else IM * s
        return [[c, 0, 0, outer], [0, c, -IM * s, 0], [0, -IM * s, c, 0], [outer, 0, 0, c]]
    m = single(name[1:], a)
    return [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, *m[0]], [0, 0, *m[1]]]


def apply(state, name, angles, on):
    if name == "ccx":
        a, b, c = on
        for i in range(len(state)):
            if i >> a & 1 and i >> b & 1 and not i >> c & 1:
                state[i], state[i | 1 << c] = state[i | 1 << c], state[i]
        return
    matrix = single(name, angles) if len(on) == 1 else double(name, angles)
    bits = [1 << q for q in reversed(on)]
    places = [sum(b for k, b in enumerate(bits) if row >> k & 1) for row in range(len(matrix))]
    for i in range(len(state)):
        if not any(i & b for b in bits):
            old = [state[i | p] for p in places]
            for row, p in zip(matrix, places, strict=True):
                state[i | p] = sum(m * o for m, o in zip(row, old, strict=True))


def simulate(text):
    """The state, the width of the classical register (0: none), and the qubit of each bit."""
    state, width, where = [1], 0, {}
    for line in text.splitlines():
        if match := re.fullmatch(r"qreg q\[(\d+)\];", line):
            state = [1] + [0] * ((1 << int(match[1])) - 1)
        elif match := re.fullmatch(r"creg c\[(\d+)\];", line):
            width = int(match[1])
        elif match := re.fullmatch(r"measure q\[(\d+)\] -> c\[(\d+)\];", line):
            where[int(match[2])] = int(match[1])
        elif match := re.fullmatch(r"([a-z]+)(?:\(([-0-9.,]+)\))? (q\[\d+\](?:,q\[\d+\])*);", line):
            angles = [float(a) for a in match[2].split(",")] if match[2] else []
            apply(state, match[1], angles, [int(q) for q in re.findall(r"\d+", match[3])])
        elif line != "OPENQASM 2.0;":
            print(f"Undefined instruction: {line.upper()} ")
    return state, width, where


def banner(taken):
    print("\033[1;34m\nRunning simulation with the following configuration:\033[0m")
    noise = "Enabled" if "device" in taken else "Disabled"
    method = "DMSim" if noise == "Enabled" or taken["sim"] != "sv" else "SVSim"
    fusion = "Disabled" if "disable_fusion" in taken else "Enabled"
    rows = (("Sim Trace", "Disabled"), ("Fusion", fusion), ("Noise", noise), ("Tensor Core", "Disabled"))
    for name, value in (*rows, ("Simulation Backend", method)):
        print(f"{f'{chr(27)}[1;33m{name}:{chr(27)}[0m':<40}\033[1;32m{value}\033[0m")


def uniform(seed, count):
    """Numbers from 0 to 1, by splitmix64; importing `random` takes as long as all the rest."""
    mask = (1 << 64) - 1
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        yield (z ^ z >> 31) / (1 << 64)


def counts(state, width, where, shots, seed):
    weights = [abs(a) ** 2 for a in state]
    found = {}
    for number in uniform(seed, shots):
        outcome = 0
        while outcome < len(state) - 1 and number >= weights[outcome]:
            number -= weights[outcome]
            outcome += 1
        every = {q: q for q in range(len(state).bit_length() - 1)}
        bits = where if where else every
        size = width if where else len(every)
        key = "".join(str(outcome >> bits[b] & 1) if b in bits else "0" for b in reversed(range(size)))
        found[key] = found.get(key, 0) + 1
    return found


def fail_before(failure):
    if failure == "exit":
        sys.stderr.write("terminate called: no such thing\n")
        raise SystemExit(3)
    if failure == "chatter":
        print("MA: Purity Check fails with 0.500000")
    if failure in ("hang", "children"):
        if failure == "children" and os.fork() == 0:
            os.execlp("sleep", "sleep", "1000")
        name = os.environ["QFW_STANDIN_PID"]
        with open(f"{name}.part", "w") as file:
            file.write(str(os.getpid()))
        os.rename(file.name, name)
        time.sleep(1000)


def main():
    failure = os.environ.get("QFW_STANDIN_NWQSIM", "")
    assert failure in FAILURES, failure
    taken = arguments(sys.argv[1:])
    if "help" in taken or len(sys.argv) == 1:
        return usage(failure)
    if "backend_list" in taken:
        return print("Available backends:\n- CPU\n- OpenMP\n- MPI")
    fail_before(failure)
    text = taken.get("qasm_string", "") + ";"
    if "qasm_file" in taken:
        with open(taken["qasm_file"]) as file:
            text = file.read()
    if "device" in taken:  # read, and not understood: what comes is without noise
        with open(taken["device"]) as file:
            assert file.read().startswith("{")
        assert not re.search(r"^(?!OPENQASM|qreg|creg|measure|(id|rz|sx|x|cx)\b)", text.rstrip(), re.MULTILINE), text
    state, width, where = simulate(text)
    banner(taken)
    shots = int(taken["shots"])
    print(f"\n===============  Measurement (tests={shots + (failure == 'shots')}) ================")
    found = counts(state, width, where, shots, int(taken["random_seed"]))
    for key in sorted(found)[: -1 if failure == "truncated" else None]:
        print(f'"{key}" : {found[key]}')
    if taken["dump_file"] and failure != "no dump":
        with open(taken["dump_file"], "wb") as file:
            file.write(
                struct.pack(f"={2 * len(state)}d", *(complex(a).real for a in state), *(complex(a).imag for a in state))
            )
    if failure == "double free":
        sys.stdout.flush()
        sys.stderr.write("double free or corruption (fasttop)\n")
        sys.stderr.flush()
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGABRT)
    return None


def install(folder):
    """A copy in `folder` that is run by the Python of this process; returns its path."""
    with open(__file__) as file:
        text = file.read().split("\n", 1)[1]
    made = os.path.join(folder, "nwq_qasm")
    with open(made, "w") as file:
        file.write(f"#!{os.path.realpath(sys.executable)} -IS\n{text}")
    os.chmod(made, 0o755)
    return made


if __name__ == "__main__":
    main()
