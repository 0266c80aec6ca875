"""
What a release of the chart goes through, from its installation to its uninstallation, and what must hold meanwhile.

    python -m tests.chart.cluster.journey                                         as large as in the tests
    python -m tests.chart.cluster.journey --flytekit 20 --plain 180 --running 50  the long one, with its figures
    python -m tests.chart.cluster.journey --previous HEAD~1                       an upgrade from another version
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

from tests.support.aging import new_plugin, old_plugin
from tests.support.cluster_tasks import Job, aging_jobs, flytekit_jobs, plain_jobs
from tests.support.deployment import Deployment, Images, wait_until
from tests.support.etcd import find_binary
from tests.support.images import ROOT, Image, engine_image, etcd_image, project_image
from tests.support.machine_cluster import Machine
from tests.support.object_stores import start_s3
from tests.support.outside import airscrew_from_outside

CLAIM = "persistentvolumeclaim/data-airscrew-etcd-0"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """
    How much goes on.

    Attributes:
        flytekit: Tasks of flytekit while a controller is killed.
        plain: Plain Python programs beside them.
        running: Programs that run while the release is upgraded.
        aging: Tasks that run then, whose executor keeps its state in another form afterwards.
        cut: Programs that run when it is uninstalled.
        seconds: How long each part may take.
    """

    flytekit: int = 3
    plain: int = 9
    running: int = 6
    aging: int = 4
    cut: int = 2
    seconds: float = 120.0


@dataclass
class Figures:
    """How long each part took, in seconds."""

    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Time a part."""
        started = time.monotonic()
        yield
        self.parts[name] = time.monotonic() - started
        print(f"{name}: {self.parts[name]:.1f} s", flush=True)


def journey(one: Deployment, scale: Scale) -> Figures:
    """Go through all of it."""
    figures = Figures()
    with one.telling():
        with one.counting() as pods:
            with figures.timing("install"):
                one.install()
            with figures.timing("helm test"):
                one.test()
            told = airscrew_from_outside(one.cluster, one.engines, one.folder.with_suffix(".client"), "list")
            assert "echo" in told  # the task of the chart's own test
            jobs = [*_through_a_kill(one, scale, figures), *_through_an_upgrade(one, scale, figures)]
            wait_until(lambda: not one.pods_of_tasks(), "no Pod of a task is left")
            assert pods.by_execution() == {job.name: 1 for job in jobs}
        _uninstall(one, scale, figures)
    return figures


def _through_a_kill(one: Deployment, scale: Scale, figures: Figures) -> list[Job]:
    """Run tasks to their outputs, with a controller killed in the middle."""
    jobs = [*flytekit_jobs(scale.flytekit, "kit"), *plain_jobs(scale.plain, "plain")]
    with figures.timing("tasks with a controller killed"):
        one.submit(jobs)
        wait_until(one.running, "tasks run")
        one.kill_hard(one.ready()[0])
        one.finish(jobs, scale.seconds)
    return jobs


def _through_an_upgrade(one: Deployment, scale: Scale, figures: Figures) -> list[Job]:
    """Have tasks run while all controllers are replaced by those of a newer version."""
    jobs, aging = plain_jobs(scale.running, "through", one.gate("through")), aging_jobs(scale.aging, "aging")
    one.submit([*jobs, *aging])
    wait_until(lambda: one.running() == len(jobs), "all of them run", scale.seconds)
    assert {view["phase"] for name, view in one.views().items() if name.startswith("aging-")} == {"Running"}
    before = set(one.ready())
    with figures.timing("upgrade"):
        one.upgrade()
    assert not before & set(one.ready())
    assert one.running() == len(jobs)
    one.open_gate("through")
    with figures.timing("tasks after the upgrade"):
        one.finish([*jobs, *aging], scale.seconds)
    return jobs


def _uninstall(one: Deployment, scale: Scale, figures: Figures) -> None:
    """Remove the release under running tasks, and see that the volume alone is left."""
    one.submit(plain_jobs(scale.cut, "cut", one.gate("never")))
    wait_until(lambda: one.running() == scale.cut, "all of them run", scale.seconds)
    with figures.timing("uninstall"):
        one.uninstall()
    assert one.pods_of_tasks() == []
    wait_until(lambda: one.objects() - one.before == {f"{one.engines}: {CLAIM}"}, "the volume's claim alone is left")


def checkout(revision: str, folder: Path) -> Path:
    """Put the project's files of a revision into a folder."""
    folder.mkdir()
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return folder


def main() -> int:
    """Go through it in a cluster of its own."""
    parser = argparse.ArgumentParser(description="Install the chart, use it, upgrade it and remove it.")
    for one in fields(Scale):
        parser.add_argument(f"--{one.name}", type=type(one.default), default=one.default)
    parser.add_argument("--previous", default="", metavar="REVISION", help="install this one first; else one like this")
    given = vars(parser.parse_args())
    previous = given.pop("previous")
    scale = Scale(**given)
    machine = Machine()
    if obstacle := machine.obstacle():
        print(obstacle, file=sys.stderr)
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = machine.open(stack, folder)

        def loaded(image: Image) -> str:
            cluster.load_image(image.archive)
            return image.name

        source = checkout(previous, folder / "previous") if previous else ROOT
        images = Images(
            previous=loaded(engine_image(old_plugin(folder / "plugin"), source)),
            engine=loaded(engine_image(new_plugin(folder / "plugin"))),
            etcd=loaded(etcd_image(find_binary())),
            tasks=loaded(project_image()),
        )
        store = start_s3(folder / "s3", cluster.network.host)
        stack.callback(store.stop)
        store.start()
        engines, tasks = (stack.enter_context(cluster.namespace()) for _ in range(2))
        deployment = Deployment(cluster, store, images, folder / "etcd", engines, tasks)
        deployment.prepare()
        journey(deployment, scale)
    print(f"{scale}: nothing lost, nothing doubled, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
