"""Two or more network namespaces as hosts: each with a name, an address and a link of its own that can be cut.

They share the file system and the processes of this machine. Needs root and iproute2.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

NETNS_ETC = Path("/etc/netns")  # what lies here replaces files of /etc in the namespace of that name


def missing() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2's ip"
    if " " in sys.prefix:
        return f"PRTE starts nothing on other hosts from a path with a space ({sys.prefix})"
    tried = subprocess.run(["unshare", "--net", "--uts", "true"], capture_output=True, text=True, check=False)
    return f"network namespaces are refused here: {tried.stderr.strip()}" if tried.returncode else ""


class Hosts:
    """Namespaces joined by a bridge; removed with everything in them at the end."""

    def __init__(self, names: Sequence[str], number: int | None = None) -> None:
        """`number` tells sets of hosts apart: this process's by default, another's to speak of the hosts it made."""
        self.names = tuple(names)
        self.number = os.getpid() if number is None else number
        self._tag = f"q{self.number % 100_000}"
        self._net = f"10.{64 + self.number // 250 % 128}.{self.number % 250}"
        self._bridge = f"{self._tag}br"

    def __enter__(self) -> Hosts:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._remove()

    def address(self, name: str) -> str:
        return f"{self._net}.{self.names.index(name) + 2}"

    def command(self, name: str, argv: Sequence[str]) -> list[str]:
        """`argv` as it runs on that host, which also knows its name."""
        become = ["sh", "-c", 'hostname "$0" && exec "$@"', name, *argv]
        return ["ip", "netns", "exec", self._space(name), "unshare", "--uts", *become]

    def agent(self, directory: Path) -> Path:
        """A launch agent for PRTE, called as ssh is: HOST COMMAND..."""
        lines = [f"{name}) space={self._space(name)} ;;" for name in self.names]
        script = directory / "agent"
        script.write_text(
            '#!/bin/sh\nwhile [ $# -gt 1 ] && [ "${1#-}" != "$1" ]; do shift; done\nhost=$1; shift\n'
            "case $host in\n" + "\n".join(lines) + '\n*) echo "no host $host" >&2; exit 255 ;;\nesac\n'
            # As ssh has it: no way to a host whose link is cut.
            'ip -n "$space" link show dev eth0 | grep -q "state UP" || { echo "no route to $host" >&2; exit 255; }\n'
            'exec ip netns exec "$space" unshare --uts sh -c "hostname $host && exec sh -c \'$*\'"\n'
        )
        script.chmod(0o755)
        return script

    def cut(self, name: str) -> None:
        """Nothing passes between that host and the others until `mend`."""
        _ip("-n", self._space(name), "link", "set", "eth0", "down")

    def mend(self, name: str) -> None:
        _ip("-n", self._space(name), "link", "set", "eth0", "up")

    def processes(self) -> list[int]:
        """What runs in any of the namespaces."""
        found: list[int] = []
        for name in self.names:
            listed = subprocess.run(
                ["ip", "netns", "pids", self._space(name)], capture_output=True, text=True, check=False
            )
            found += [int(pid) for pid in listed.stdout.split()]
        return found

    def _space(self, name: str) -> str:
        return f"{self._tag}-{name}"

    def _outside(self, name: str) -> str:
        return f"{self._tag}v{self.names.index(name)}"

    def _make(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self._net}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        known = "127.0.0.1 localhost\n" + "".join(f"{self.address(n)} {n}\n" for n in self.names)
        for name in self.names:
            space = self._space(name)
            _ip("netns", "add", space)
            etc = NETNS_ETC / space
            etc.mkdir(parents=True)
            (etc / "hosts").write_text(known)
            _ip("link", "add", self._outside(name), "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", self._outside(name), "master", self._bridge, "up")
            _ip("-n", space, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for name in self.names:
            shutil.rmtree(NETNS_ETC / self._space(name), ignore_errors=True)
            _ip("netns", "delete", self._space(name), check=False)
            _ip("link", "delete", self._outside(name), check=False)
        _ip("link", "delete", self._bridge, check=False)


def _ip(*argv: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(argv)}: {done.stderr.strip()}")
