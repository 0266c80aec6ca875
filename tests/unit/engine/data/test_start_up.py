from __future__ import annotations

import subprocess
import sys

MODULES = ["access", "catalog", "environment", "futures", "locations", "outputs", "render", "secrets", "storage"]
LIBRARIES = {"obstore", "google.protobuf", "flyteidl", "tenacity"}


def test_the_command_line_starts_without_the_libraries_of_the_data_plane() -> None:
    imports = ", ".join(f"airscrew.engine.data.{name}" for name in MODULES)
    code = f"import sys, {imports}; print(sorted({LIBRARIES} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
