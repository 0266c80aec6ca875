"""
From a template and the context of an attempt to what its supervisor is asked to run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from airscrew.engine.errors import PermanentError
from airscrew.engine.executor import TaskContext
from airscrew.idl.errors import ErrorKind
from airscrew.idl.template import TaskTemplate
from airscrew.plugins.process import files
from airscrew.plugins.process.command import Command, command_of
from airscrew.plugins.process.config import Config
from airscrew.plugins.process.environment import find_executable, task_environment
from airscrew.plugins.process.secrets import TaskSecrets, read_secrets, secret_directory
from airscrew.plugins.process.spawner import Request
from airscrew.plugins.process.state import Place, ProcessState

CONTROL = ".airscrew"
LOG = "task.log"


def place_of(context: TaskContext[ProcessState], state_directory: str) -> Place:
    """
    Say where the control files of an attempt are; the same in every process of this machine.

    Raises:
        PermanentError: There is no folder on this machine for it.
    """
    work = context.locations.work_directory
    if not work and state_directory:
        work = f"{state_directory}/attempts/{context.key}"
    if not work:
        raise PermanentError(
            "there is no folder on this machine to run in: neither a work directory nor a state directory is set",
            code="NoWorkDirectory",
            kind=ErrorKind.SYSTEM,
        )
    return Place(f"{Path(work).absolute()}/{CONTROL}", context.key)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """
    A start, prepared.

    Attributes:
        context: The attempt.
        template: The task.
        config: The executor's configuration.
        place: The attempt's control files.
    """

    context: TaskContext[ProcessState]
    template: TaskTemplate
    config: Config
    place: Place

    @cached_property
    def command(self) -> Command:
        """
        The command, folders of the container replaced by those of the attempt.

        Raises:
            PermanentError: The template has none.
        """
        command = command_of(self.template)
        data = command.data_config
        if data is None:
            return command
        return command.relocated({data.input_path: self.place.inputs, data.output_path: self.place.outputs})

    @property
    def work(self) -> str:
        """The attempt's folder: the task runs in it."""
        return str(Path(self.place.directory).parent)

    @property
    def temporary(self) -> str:
        """The folder for temporary files; short, for sockets are made in it and their paths have 107 characters."""
        return f"{tempfile.gettempdir()}/{self.place.name}"

    def state(self) -> ProcessState:
        """Make the state. Pure: the same for the same attempt."""
        outputs = self.template.interface.outputs
        collects = self.command.data_config is not None
        wanted = self.template.security_context.secrets
        return ProcessState(
            place=self.place,
            log=f"{self.work}/{LOG}",
            command=self.command.argv[0],
            output_prefix=self.context.locations.output_prefix,
            missing_is_success=not outputs,
            collects=collects,
            output_types=files.encode_types(outputs) if collects else {},
            secrets=tuple((one.group, one.key) for one in wanted),
            temporary=self.temporary,
            secret_directory=secret_directory(self.place, wanted, self.config.secret_directory),
        )

    async def request(self) -> Request:
        """
        Put inputs and folders into place, read secrets, and say what is to be run.

        Raises:
            PermanentError: It can never run: no command, no such file or secret, an unknown variable.
            OSError: A folder cannot be made.
        """
        command = self.command
        argv = tuple(await self.context.render(command.argv))
        cwd = self._working_directory()
        env = self._environment(command)
        executable = find_executable(argv[0], env, cwd)
        wanted = self.template.security_context.secrets
        folder = secret_directory(self.place, wanted, self.config.secret_directory)
        secrets = await read_secrets(self.context, wanted, folder)
        self._make_folders()
        await self._place_inputs(command)
        return self._request(argv, executable, env, cwd, secrets)

    def remove_temporary(self) -> None:
        """Remove the folder for temporary files."""
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _request(
        self, argv: tuple[str, ...], executable: str, env: dict[str, str], cwd: str, secrets: TaskSecrets
    ) -> Request:
        limit = self.command.memory_limit if self.config.enforce_limits else None
        return Request(
            directory=self.place.directory,
            key=self.place.key,
            argv=argv,
            executable=executable,
            env=env | secrets.env,
            cwd=cwd,
            log=f"{self.work}/{LOG}",
            digest=digest(argv),
            grace=self.config.grace,
            rlimits=self.config.rlimits | ({"as": limit} if limit else {}),
            log_limit=self.config.log_limit_bytes,
            secret_files=secrets.files,
            secret_directory=secrets.directory,
        )

    def _environment(self, command: Command) -> dict[str, str]:
        folders = {"AIRSCREW_INPUT_PATH": self.place.inputs, "AIRSCREW_OUTPUT_PATH": self.place.outputs}
        return task_environment(
            self.config,
            os.environ,
            {**self.context.environment, **(folders if command.data_config else {})},
            command.env,
            place=self.place,
            temporary=self.temporary,
        )

    def _working_directory(self) -> str:
        """Where the container wants to run, if there is such a folder here; else the attempt's own."""
        wanted = self.command.working_directory
        return wanted if wanted and Path(wanted).is_dir() else self.work

    def _make_folders(self) -> None:
        Path(self.place.directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(self.temporary).mkdir(mode=0o700, exist_ok=True)
        if Path(self.temporary).stat().st_uid != os.geteuid():
            raise PermissionError(f"{self.temporary} belongs to another user")
        Path(self.place.outputs).mkdir(exist_ok=True)
        for uri in (self.context.locations.output_prefix, self.context.locations.raw_output_prefix):
            local = files.local_path(uri) if uri else None
            if local is not None:
                local.mkdir(parents=True, exist_ok=True)

    async def _place_inputs(self, command: Command) -> None:
        if command.data_config is None:
            await self.context.place_inputs()
            return
        await files.lay_out_inputs(self.context, command.data_config, self.place.inputs)


def digest(argv: tuple[str, ...]) -> str:
    """Hash a command line."""
    return hashlib.blake2b("\0".join(argv).encode(errors="surrogateescape"), digest_size=16).hexdigest()
