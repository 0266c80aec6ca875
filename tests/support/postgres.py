"""
An image with Debian's PostgreSQL, which begins as the image of PostgreSQL's own project does: for testcontainers.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.images import RELEASE, Image, Settings, bootstrap, make_image, make_layer

VERSION = "15"
PACKAGES = f"postgresql-{VERSION}"
PROGRAM = "usr/local/bin/serve-postgres"
UNUSED = (
    f"var/lib/postgresql/{VERSION}",
    f"usr/lib/postgresql/{VERSION}/lib/bitcode",
    f"usr/lib/postgresql/{VERSION}/lib/llvmjit.so",
    "usr/lib/*/libLLVM*",
    "usr/lib/*/libz3.so*",
)
"""The compiler of queries, half of the whole, which PostgreSQL does without; and the cluster of Debian."""

SCRIPT = f"""#!/bin/sh -e
# Make the user and the database that the variables name, and serve them.
PATH=/usr/lib/postgresql/{VERSION}/bin:$PATH
data=/var/lib/postgresql/data
printf %s "$POSTGRES_PASSWORD" > /tmp/password
initdb -D $data -U "$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 > /dev/null
echo "host all all all scram-sha-256" >> $data/pg_hba.conf
echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | postgres --single -D $data postgres > /dev/null
exec postgres -D $data -c "listen_addresses=*" -c unix_socket_directories=/tmp
"""


def postgres_image() -> Image:
    """Return an image with PostgreSQL."""
    layers = [
        make_layer("postgres", [RELEASE, PACKAGES, *UNUSED], _install),
        make_layer("postgres-start", [SCRIPT], _put_script),
    ]
    return make_image("postgres", layers, Settings(command=(f"/{PROGRAM}",), user="postgres"))


def _install(tree: Path) -> None:
    bootstrap(tree, PACKAGES)
    for each in (each for pattern in UNUSED for each in tree.glob(pattern)):
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()


def _put_script(tree: Path) -> None:
    program = tree / PROGRAM
    program.parent.mkdir(parents=True)
    program.write_text(SCRIPT)
    program.chmod(0o755)
