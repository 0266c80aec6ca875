"""
Pod tasks on a control plane of this machine whose nodes KWOK plays, the engine's state in an etcd of its own.

Starts what is needed, runs ``airscrew bench`` against it, and ends it again. What follows goes to the command:

    python benchmarks/pods.py pods --tasks 1000
    python benchmarks/pods.py pod-events --in-flight 1000
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.control_plane import open_control_plane
from tests.support.etcd import start_etcd
from tests.support.kwok import start_kwok

NODE = "played-0"


def main(command: str, *options: str) -> int:
    """Run a measurement."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airscrew-pods-")))
        plane = open_control_plane(stack, folder / "plane")
        start_kwok(stack, plane, nodes=1, ends_all=True)
        etcd = start_etcd(stack, folder / "etcd")
        place = ["--node", NODE] if command == "pods" else []
        namespace = stack.enter_context(plane.namespace())
        where = ["--kubeconfig", str(plane.kubeconfig), "--store", etcd.new_url(), "-n", namespace, *place]
        airscrew = Path(sys.executable).with_name("airscrew")
        return subprocess.run([airscrew, "bench", command, *where, *options], check=False).returncode  # noqa: S603  # our own command


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["pods"])))
