"""
OpenSSH's own server on loopback, with keys made for it, as one user and for one key alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.debian import install
from tests.support.programs import Program

PACKAGES = ("openssh-server", "openssh-client")
UP_SECONDS = 20.0

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile {folder}/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
{variables}
"""


def free_port() -> int:
    """Return a port that nothing listens at."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class Sshd:
    """
    The server.

    Attributes:
        folder: Where its keys lie.
        variables: What its sessions find in their environment.
        port: Where it listens.
    """

    folder: Path
    variables: Mapping[str, str]
    port: int = field(default_factory=free_port)
    program: Program = field(init=False)

    @property
    def private_key(self) -> str:
        """The key that it lets in."""
        return (self.folder / "user").read_text()

    @property
    def known_hosts(self) -> Path:
        """The file that knows it."""
        return self.folder / "known_hosts"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.program.process is not None
        return self.program.process.pid

    def start(self) -> None:
        """Make the keys, begin, and wait until it listens."""
        for name in ("host", "user"):
            self.make_key(name)
        (self.folder / "authorized").write_bytes((self.folder / "user.pub").read_bytes())
        public = " ".join((self.folder / "host.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        pairs = " ".join(f'"{name}={value}"' for name, value in self.variables.items())
        config = CONFIG.format(port=self.port, folder=self.folder, variables=f"SetEnv {pairs}" if pairs else "")
        (self.folder / "sshd_config").write_text(config)
        Path("/run/sshd").mkdir(exist_ok=True)  # where it keeps itself apart, when root runs it
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        self.program = Program([sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")], self.folder / "sshd.out")
        self.begin()

    def begin(self) -> None:
        """Begin to listen, again after a stop."""
        self.program.start()
        until = time.monotonic() + UP_SECONDS
        while not self._listens():
            self.program.check()
            assert time.monotonic() < until, f"sshd did not come up: see {self.folder}"
            time.sleep(0.02)

    def break_off(self) -> None:
        """End it and all its sessions, and begin again."""
        sessions = [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        self.stop()
        for session in sessions:
            os.kill(session, signal.SIGKILL)
        self.begin()

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def make_key(self, name: str) -> None:
        """Make a pair of keys in the folder."""
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)],
            check=True, capture_output=True, timeout=UP_SECONDS,
        )  # fmt: skip

    def _listens(self) -> bool:
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def running_sshd(folder: Path, variables: Mapping[str, str]) -> Iterator[Sshd]:
    """Run a server in a folder; the test fails where there can be none."""
    missing = needed()
    if missing:
        pytest.fail(missing)
    server = Sshd(folder, variables)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def needed() -> str:
    """Say what is missing for a server here, after having tried to install it; empty when nothing is."""
    missing = [name for name in ("sshd", "ssh-keygen") if shutil.which(name) is None]
    if not missing:
        return ""
    wanted = f"install Debian's {', '.join(PACKAGES)} (apt-get install {' '.join(PACKAGES)})"
    if os.geteuid() != 0:
        return f"the tests over SSH need {', '.join(missing)}, and only root can install them: {wanted}"
    failed = install(PACKAGES)
    return f"the tests over SSH need {', '.join(missing)}: {wanted}; {failed}" if failed else ""
