"""
A notebook's kernel in one file: it executes a cell in ``__main__`` and ships the task as flytekit does.

usage: notebook_kernel.py FOLDER   writes FOLDER/pkl.gz and FOLDER/template.pb

flytekit asks IPython alone whether it is in a notebook, so a module of that name with ``get_ipython`` stands in for it.
The code that pickles and the resolver are flytekit's own.
"""

import gzip
import linecache
import sys
import types
from pathlib import Path

sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: "a kernel")  # type: ignore[assignment]

NAME = "<ipython-input-1>"
CELL = """
from flytekit import task

OFFSET = 1000

@task
def from_notebook(x: int) -> int:
    return x + OFFSET
"""


def main(folder: Path) -> None:
    import cloudpickle
    from flytekit.configuration import FastSerializationSettings
    from flytekit.remote.remote import _get_pickled_target_dict
    from harness import serialize

    linecache.cache[NAME] = (len(CELL), None, CELL.splitlines(keepends=True), NAME)  # IPython does so for each cell
    exec(compile(CELL, NAME, "exec"), globals())
    entity = globals()["from_notebook"]
    _, pickled = _get_pickled_target_dict(entity)
    bundle = folder / "pkl.gz"
    with gzip.GzipFile(filename=bundle, mode="wb", mtime=0) as opened:
        cloudpickle.dump(pickled, opened)
    fast = FastSerializationSettings(enabled=True, distribution_location=str(bundle), destination_dir=".")
    (folder / "template.pb").write_bytes(serialize(entity, fast=fast))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
