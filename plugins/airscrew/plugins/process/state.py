"""
What is kept of an attempt between calls: where its files are and what its success will mean.

How the process itself stands is in those files and with the kernel, so there is nothing here that a lost write could
make wrong.
"""

from __future__ import annotations

import hashlib

import msgspec


class Place(msgspec.Struct, frozen=True):
    """
    Where the files are that the supervisor and the executor know each other by.

    Attributes:
        directory: The control directory; one an attempt.
        key: The attempt's key.
    """

    directory: str
    key: str

    @property
    def name(self) -> str:
        """A short name for folders elsewhere, of this attempt alone."""
        return "airscrew-" + hashlib.blake2b(f"{self.key}\0{self.directory}".encode(), digest_size=8).hexdigest()

    @property
    def claim(self) -> str:
        """The file that says who runs the attempt."""
        return f"{self.directory}/claim.json"

    @property
    def lock(self) -> str:
        """The file that is locked while anything of the attempt may be alive."""
        return f"{self.directory}/lock"

    @property
    def status(self) -> str:
        """The file that says how the task ended."""
        return f"{self.directory}/status.json"

    @property
    def clean(self) -> str:
        """The file that says that nothing of the attempt is left; written after the status."""
        return f"{self.directory}/clean"

    @property
    def inputs(self) -> str:
        """The folder of a raw container's inputs."""
        return f"{self.directory}/inputs"

    @property
    def outputs(self) -> str:
        """The folder of a raw container's outputs."""
        return f"{self.directory}/outputs"


class ProcessState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The custom state.

    Attributes:
        place: The attempt's control files.
        log: The file that both output streams go to.
        command: What runs, for messages.
        boot_id: The boot of the machine that it was started in.
        supervisor_pid: Its supervisor, as the claim said at the start; for people.
        output_prefix: Where it writes its outputs.
        missing_is_success: Whether it may write none.
        collects: Whether its outputs are files, to be made into literals by ``output_types``.
        output_types: ``core.LiteralType`` in base64 by variable.
        secrets: Group and key of each secret that it was given, to keep their values out of messages.
        temporary: Its folder for temporary files.
        secret_directory: The folder of its secrets that are files; empty without any.
        told_at: When it was first told to stop, Unix seconds; 0 before.
    """

    place: Place
    log: str
    command: str
    boot_id: str = ""
    supervisor_pid: int = 0
    output_prefix: str = ""
    missing_is_success: bool = False
    collects: bool = False
    output_types: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    secrets: tuple[tuple[str, str], ...] = ()
    temporary: str = ""
    secret_directory: str = ""
    told_at: float = 0.0
