"""
One package in four portions, and what the sources look like.

The figures are a mirror: a number reached by splitting what belongs together is worse than the number.
"""

from __future__ import annotations

import ast
import re
import statistics

import pytest
from tests.packaging.tree import PARTS, ROOT, Function, Module, modules

LONGEST_FILE = 500
LONGEST_FUNCTION = 60


def lengths() -> list[tuple[int, str]]:
    return [
        (length(function), f"{module.name}:{function.lineno} {function.name}")
        for module in modules(*PARTS)
        for function in module.functions()
    ]


def length(function: Function) -> int:
    """The lines of a function without those of its docstring."""
    whole = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    told = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) else 0
    return whole - told


def is_annotated(function: Function) -> bool:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    extra = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    told = all(one.annotation for one in [*named, *extra] if one.arg not in {"self", "cls"})
    return told and (function.returns is not None or function.name == "__init__")


def percentile(values: list[int], percent: int) -> int:
    return sorted(values)[min(len(values) - 1, round(percent / 100 * (len(values) - 1)))]


@pytest.mark.parametrize("part", PARTS)
def test_a_portion_holds_its_own_package_and_nothing_else(part: str) -> None:
    inside = {path.name for path in (ROOT / part / "airscrew").iterdir()} - {"__pycache__"}

    assert inside == {part}, "anything else there, an __init__.py above all, hides the other portions"


def test_no_other_folder_is_taken_for_the_package() -> None:
    strays = [path for path in ROOT.glob("**/airscrew/__init__.py") if ".venv" not in path.parts]

    assert strays == []


@pytest.mark.parametrize("part", PARTS)
def test_a_portion_says_that_it_is_typed(part: str) -> None:
    assert (ROOT / part / "airscrew" / part / "py.typed").is_file()


def packages() -> list[Module]:
    return [
        module for module in modules(*PARTS) if module.path.name == "__init__.py" and "proto" not in module.path.parts
    ]


@pytest.mark.parametrize("package", packages(), ids=lambda package: package.name)
def test_a_package_has_a_charter(package: Module) -> None:
    charter = ast.get_docstring(package.tree) or ""

    assert re.search(r"\bMUST\b", charter), "say what is here, and what MUST never be"


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {module.path.parent for module in modules(*PARTS)} - {ROOT / "idl/proto"}

    bare = [folder for folder in folders if not (folder / "__init__.py").is_file()]

    assert bare == []


def test_every_module_says_what_it_guarantees() -> None:
    silent = [module.name for module in modules(*PARTS) if ast.get_docstring(module.tree) is None]

    assert silent == []


def test_no_module_is_long() -> None:
    lines = [len(module.text.splitlines()) for module in modules(*PARTS)]

    assert max(lines) <= LONGEST_FILE
    assert percentile(lines, 95) <= 400
    assert statistics.median(lines) <= 150


def test_no_function_is_long() -> None:
    too_long = [f"{name}: {lines}" for lines, name in lengths() if lines > LONGEST_FUNCTION]

    assert too_long == []
    assert percentile([lines for lines, _ in lengths()], 95) <= 40


def test_every_function_is_annotated() -> None:
    bare = [
        f"{module.name}:{function.lineno} {function.name}"
        for module in modules(*PARTS)
        for function in module.functions()
        if not is_annotated(function)
    ]

    assert bare == []


def test_suppressed_type_errors_are_few() -> None:
    texts = [module.text for module in modules(*PARTS)]
    ignores = sum(len(re.findall(r"#\s*(?:type|pyright):\s*ignore", text)) for text in texts)

    assert ignores <= 0.5 * sum(len(text.splitlines()) for text in texts) / 1000 + 1


def broad_handlers(module: Module) -> list[str]:
    """Each ``except`` that takes whatever comes, goes on without raising it, and does not say why it may."""
    lines = module.text.splitlines()
    return [
        f"{module.name}:{node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        and not re.search(r"#.*\w \w", lines[node.lineno - 1])
    ]


def test_whatever_swallows_any_exception_says_why() -> None:
    silent = [place for module in modules(*PARTS) for place in broad_handlers(module)]

    assert silent == []


def test_no_task_is_born_outside_a_task_group() -> None:
    loose = [
        f"{module.name}:{node.lineno}"
        for module in modules(*PARTS)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and re.fullmatch(r"asyncio\.(create_task|ensure_future|gather|wait_for)", ast.unparse(node.func))
    ]

    assert loose == []


def sleeps(module: Module) -> list[tuple[str, str]]:
    """Each call that waits for a time, with its place; giving way once (``sleep(0)``) is none."""
    return [
        (ast.unparse(node.func), f"{module.name}:{node.lineno}")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep"}
        and ast.unparse(node.args[0]) not in {"0", "0.0"}
    ]


# Where sleeping itself is what is tested, or real threads are.
MAY_SLEEP = {
    "tests/unit/engine/test_virtual_time.py",
    "tests/unit/engine/test_watchdog.py",
    "tests/unit/plugins/webapi/test_sync.py",
    "tests/unit/state/test_sqlite_parts.py",
}


def test_unit_tests_let_virtual_time_elapse_and_never_sleep() -> None:
    waits = [place for module in modules("tests/unit") for _, place in sleeps(module) if module.name not in MAY_SLEEP]

    assert waits == []
