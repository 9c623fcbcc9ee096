"""One seat of a device's pool: the runtime calls `start` when it wants an instance and `stop` when it does not.
Between the two it holds slots."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict

from qfw.program.errors import ResourceExhausted
from qfw.qpm.instances import Fleet, Running


class InstanceProcess:
    """One seat of a device's pool (see `qfw.qpm.host.Process`)."""

    def __init__(self, fleet: Fleet, device: str) -> None:
        self._fleet = fleet
        self._device = device
        self._lock = threading.Lock()  # of what follows; never held while anything waits
        self._running: Running | None = None
        self._stops = 0
        self.tls: Mapping[str, str] = {k: str(v) for k, v in asdict(fleet.home.tls).items()} if fleet.home.tls else {}

    def start(self, ranks: int) -> str:
        """Ends what is left of an earlier instance, starts one, returns its address when it serves."""
        self._end("it was replaced")
        with self._lock:
            stops = self._stops
        running = self._fleet.obtain(self._device, ranks, lambda: self._stops != stops)
        assert running.registration is not None
        with self._lock:
            stopped = self._stops != stops
            if not stopped:
                self._running = running
        if stopped:
            self._fleet.end(running, "it is not needed")
            raise ResourceExhausted(f"an instance of {self._device} is not wanted any more", transient=True)
        return running.registration.address

    def stop(self) -> None:
        """Ends the instance, if there is one."""
        with self._lock:
            self._stops += 1
        self._end("it is not needed")

    def last_words(self) -> str:
        """How the instance ended; what is left of it is ended, and its slots are free."""
        with self._lock:
            running = self._running
            cut_off = running is not None and bool(running.lost) and running.instance.alive()
            if cut_off:
                self._running = None
        if running is None:
            return "it was stopped"
        if cut_off:  # nobody knows how long its end takes: it may be beyond our reach
            threading.Thread(target=self._fleet.end, args=(running, running.lost), daemon=True).start()
            return running.lost
        running.instance.wait(1.0)  # its connection went first
        words = running.instance.describe_end()
        self._end("it died")
        return words

    def _end(self, reason: str) -> None:
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            self._fleet.end(running, reason)
