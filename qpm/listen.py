"""Where a run listens on the network, and what its two sides need for mutual TLS."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from qfw.program.errors import InvalidArgument

DIRECTORY = "tls"  # of the PEM files, in the directory of the run
DOMAIN = "qfw.run"
_FORM = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^:\s\[\]]+)(:(?P<port>\d{1,5}))?")


@dataclass(frozen=True)
class Listen:
    """A host of this machine, and a port; 0: a free one."""

    host: str
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Listen:
        """Of "host", "host:port" or "[v6 address]:port"; an empty text means the name of this host."""
        found = _FORM.fullmatch(text or socket.gethostname())
        if not found or int(found["port"] or 0) > 65535:
            raise InvalidArgument(f"{text!r} is not an address to listen on: HOST, HOST:PORT or [ADDRESS]:PORT")
        return cls(found["host"], int(found["port"] or 0))

    def address(self, port: int) -> str:
        return f"{self.host}:{port}"

    def announced(self, port: int) -> str:
        """What clients connect to: this host's name where it listens on every address."""
        try:
            everywhere = ipaddress.ip_address(self.host.strip("[]")).is_unspecified
        except ValueError:
            everywhere = False
        return f"{socket.gethostname() if everywhere else self.host}:{port}"


@dataclass(frozen=True)
class Files:
    """What one side needs: paths of PEM files, and the name in the servers' certificate."""

    ca: Path
    certificate: Path
    key: Path
    server_name: str


def server_name(run_id: str) -> str:
    """The name in the certificate of a run's servers: a DNS label made of the run's name, under `qfw.run`."""
    label = re.sub(r"[^a-z0-9-]+", "-", run_id.lower()).strip("-")[:63].strip("-")
    return f"{label or 'run'}.{DOMAIN}"


def server_files(directory: Path, run_id: str) -> Files:
    """The servers' files in the directory of a run."""
    return _files(directory, "server", run_id)


def client_files(directory: Path, run_id: str) -> Files:
    """The clients' files in the directory of a run."""
    return _files(directory, "client", run_id)


def _files(directory: Path, role: str, run_id: str) -> Files:
    tls = directory / DIRECTORY
    return Files(tls / "ca.pem", tls / f"{role}.pem", tls / f"{role}.key", server_name(run_id))


def port_of(address: str) -> int:
    """The port in "host:port"."""
    return int(address.rpartition(":")[2])
