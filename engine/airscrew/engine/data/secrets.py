"""
Secrets by reference: a group and a key name one, a provider finds its value, and nothing keeps it.

Guarantees:

1. No value is in an error, a representation or a log record of this module.
2. A value that was read is masked from then on in every text that goes through the ``Redactor``, also where it stands
   percent-encoded, in JSON or in base64.
3. A group or a key that could lead out of the folder of secrets is refused.

The environment is asked for ``<prefix><GROUP>_<KEY>``, as the SDKs have it, and ``AIRSCREW_SECRET_<GROUP>_<KEY>``; a
folder for ``<group>/<key>``, in the case given and in lower case. Without a group its part is left out.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, final
from urllib.parse import quote

from typing_extensions import override

from airscrew.engine.errors import PermanentError
from airscrew.idl.errors import ErrorKind, UsageError

OWN_PREFIX = "AIRSCREW_SECRET_"
SDK_PREFIX = "_FSEC_"
DIRECTORY = "/etc/secrets"

MASK = "[secret]"
SHORTEST_MASKED = 4
"""Shorter values are not masked: they stand in every text by chance."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")


class SecretNotFoundError(PermanentError):
    """
    No provider has the secret.

    Attributes:
        group: Its group.
        key: Its key.
    """

    def __init__(self, group: str, key: str, places: Iterable[str]) -> None:
        looked = ", ".join(places) or "nowhere: no provider is configured"
        super().__init__(
            f"there is no secret {secret_name(group, key)!r}: looked in {looked}",
            code="SecretNotFound",
            kind=ErrorKind.USER,
        )
        self.group = group
        self.key = key


class SecretProvider(Protocol):
    """Somewhere that secrets are."""

    def find(self, group: str, key: str) -> str | None:
        """
        Read a value; None when it is not there. Reads again each time: secrets are rotated.

        Raises:
            OSError: It is there and cannot be read.
        """
        ...

    def places(self, group: str, key: str) -> Sequence[str]:
        """Say where ``find`` looks, for people."""
        ...


@final
@dataclass(frozen=True, slots=True)
class EnvironmentSecrets(SecretProvider):
    """
    Secrets among environment variables.

    Attributes:
        environ: The variables.
        prefixes: Of their names, in the order in which they are tried.
    """

    environ: Mapping[str, str] = field(repr=False)
    prefixes: tuple[str, ...] = (SDK_PREFIX, OWN_PREFIX)

    @override
    def find(self, group: str, key: str) -> str | None:
        for name in self._names(group, key):
            if name in self.environ:
                return self.environ[name].strip()
        return None

    @override
    def places(self, group: str, key: str) -> Sequence[str]:
        return [f"${name}" for name in self._names(group, key)]

    def _names(self, group: str, key: str) -> list[str]:
        plain = "_".join(part.upper() for part in (group, key) if part)
        spellings = dict.fromkeys([plain, re.sub(r"[^A-Z0-9_]", "_", plain)])
        return [prefix + spelling for prefix in self.prefixes for spelling in spellings]


@final
@dataclass(frozen=True, slots=True)
class FileSecrets(SecretProvider):
    """
    Secrets as files, as Kubernetes mounts them.

    Attributes:
        directory: The folder of the groups.
    """

    directory: Path = Path(DIRECTORY)

    @override
    def find(self, group: str, key: str) -> str | None:
        for path in self._paths(group, key):
            try:
                return path.read_text(encoding="utf-8").strip()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
        return None

    @override
    def places(self, group: str, key: str) -> Sequence[str]:
        return [str(path) for path in self._paths(group, key)]

    def _paths(self, group: str, key: str) -> list[Path]:
        below = "/".join(part for part in (group, key) if part)
        return [self.directory / spelling for spelling in dict.fromkeys([below, below.lower()])]


@final
class Redactor:
    """
    Masks the values of secrets in texts; one for a process, told of each value that is read.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask a value from now on."""
        if len(value) < SHORTEST_MASKED or value in self._forms:
            return
        encoded = b64encode(value.encode()).decode()
        self._forms |= {value, json.dumps(value)[1:-1], quote(value, safe=""), quote(value), encoded}
        self._forms |= {line for line in value.splitlines() if len(line) >= 2 * SHORTEST_MASKED}
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def redact(self, text: str) -> str:
        """Return the text with every known value masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    @override
    def __repr__(self) -> str:
        return "Redactor()"


@final
class Secrets:
    """
    Reads secrets from providers in their order.

    Args:
        providers: Asked one after the other.
        redactor: Told of each value that is read.
    """

    def __init__(self, providers: Sequence[SecretProvider], redactor: Redactor | None = None) -> None:
        self.redactor = redactor or Redactor()
        self._providers = tuple(providers)

    def read(self, group: str, key: str) -> str:
        """
        Read a secret's value.

        Raises:
            SecretNotFoundError: Nobody has it.
            PermanentError: Group or key is no name, or the secret cannot be read.
        """
        check_reference(group, key)
        for provider in self._providers:
            try:
                value = provider.find(group, key)
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no text"
                raise PermanentError(
                    f"secret {secret_name(group, key)!r} cannot be read: {reason}",
                    code="SecretUnreadable",
                    kind=ErrorKind.SYSTEM,
                ) from None
            if value is not None:
                self.redactor.add(value)
                return value
        raise SecretNotFoundError(group, key, (place for one in self._providers for place in one.places(group, key)))

    def has(self, group: str, key: str) -> bool:
        """
        Tell whether somebody has the secret, without giving it: for a check before submission.

        Raises:
            PermanentError: Group or key is no name, or the secret cannot be read.
        """
        try:
            self.read(group, key)
        except SecretNotFoundError:
            return False
        return True


def open_secrets(
    providers: Sequence[str],
    *,
    env_prefix: str = SDK_PREFIX,
    directory: str = DIRECTORY,
    environ: Mapping[str, str] | None = None,
    redactor: Redactor | None = None,
) -> Secrets:
    """
    Make what a configuration names.

    Args:
        providers: ``env`` and ``file`` in the order in which they are asked.
        env_prefix: Of the variables.
        directory: Of the files.
        environ: The variables; None for those of this process.
        redactor: Told of each value that is read.

    Raises:
        UsageError: A provider is unknown.
    """
    made: list[SecretProvider] = []
    for name in providers:
        match name:
            case "env":
                prefixes = tuple(dict.fromkeys((env_prefix, OWN_PREFIX)))
                made.append(EnvironmentSecrets(os.environ if environ is None else environ, prefixes))
            case "file":
                made.append(FileSecrets(Path(directory)))
            case _:
                raise UsageError(f"there is no provider of secrets {name!r}: use env or file in secrets.providers")
    return Secrets(made, redactor)


def check_reference(group: str, key: str) -> None:
    """
    Check that group and key are names.

    Raises:
        PermanentError: One is not.
    """
    for what, name in (("group", group), ("key", key)):
        if not (_NAME.fullmatch(name) or (what == "group" and not name)):
            raise PermanentError(
                f"the secret's {what} {name[:100]!r} is not valid: use letters, digits, '_', '-', '.' and '@', "
                "beginning with a letter, a digit or '_'",
                code="BadTaskSpecification",
            )


def secret_name(group: str, key: str) -> str:
    """Write a reference for people."""
    return f"{group}/{key}" if group else key
