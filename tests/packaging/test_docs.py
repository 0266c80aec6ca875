"""
What the documentation says can be done: its commands parse, its links lead somewhere, its examples run.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml
from tests.packaging.tree import PARTS, ROOT, modules, pyproject, run, tracked_files

from airscrew.engine.cli.app import App
from airscrew.engine.cli.exits import ExitCode
from airscrew.engine.cli.root import COMMANDS, LazyGroup, cli
from airscrew.engine.config import load_settings
from airscrew.plugins.http_job.config import read_config

PAGES = sorted(
    path
    for path in tracked_files()
    if path.suffix == ".md" and (path.parent == ROOT or path.is_relative_to(ROOT / "docs") or "examples" in path.parts)
)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")

# What can be done as it stands, in this order, by somebody who has just made the checkout.
RUNNABLE = [
    "airscrew version",
    "airscrew list",
    "airscrew run examples/flytekit/hello.py greet --name Ada --times 2",
    "airscrew run --resume",
    "airscrew leaks",
    "airscrew quotas",
    "airscrew plugins",
    "airscrew doctor",
    "airscrew state export backup.jsonl",
    "airscrew --home NEW state import backup.jsonl",
    "airscrew prune --older-than 1d",
    "airscrew --config examples/connectors/in-process.yaml run examples/connectors/task.yaml --input text=hello",
]


@dataclass(frozen=True)
class Said:
    """Something that a page says, and where."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands() -> list[Said]:
    """Every command line of ours: indented or fenced lines, and inline code."""
    found: list[Said] = []
    for page in PAGES:
        text = page.read_text("utf8").replace("\\\n", " ")
        fenced = [line for block in FENCED.findall(text) for line in block.splitlines()]
        indented = re.findall(r"^ {4,}(.*)$", text, re.MULTILINE)
        words = INLINE.findall(FENCED.sub("", text))
        lines = (line.strip().removeprefix("$ ") for line in [*fenced, *indented, *words])
        found += [Said(name(page), line) for line in lines if re.match(r"airscrew( |$)", line)]
    return list(dict.fromkeys(found))


def parse(line: str) -> None:
    """Read a command line as the command line does, without doing anything; raises click's errors."""
    assert isinstance(cli, LazyGroup)
    words = shlex.split(line, comments=True)[1:]
    root = click.Context(cli, obj=App(), allow_interspersed_args=False)
    _, rest, _ = cli.make_parser(root).parse_args(args=words)
    if not rest:
        return
    command = cli.get_command(root, rest[0])
    assert command is not None, f"no command is called {rest[0]}"
    context = click.Context(command, parent=root, obj=App())
    while isinstance(command, click.Group):
        if command.invoke_without_command and not any(word in command.commands for word in rest[1:]):
            break
        found = command.get_command(context, rest[1]) if len(rest) > 1 else None
        assert found is not None, f"{rest[0]} has no such command: {rest[1:2]}"
        command, rest = found, rest[1:]
        context = click.Context(command, parent=context, obj=App())
    _check_words(command, context, rest[1:])


def _check_words(command: click.Command, context: click.Context, words: list[str]) -> None:
    takes_target = command.name == "run"
    context.allow_interspersed_args = not takes_target
    _, rest, _ = command.make_parser(context).parse_args(args=words)
    if takes_target and rest and not rest[0].endswith(".py"):
        context.allow_interspersed_args = True
        _, rest, _ = command.make_parser(context).parse_args(args=rest[1:])
    assert takes_target or not rest, f"too many words: {rest}"


@pytest.mark.parametrize("said", commands(), ids=str)
def test_a_command_that_is_told_of_parses(said: Said) -> None:
    parse(said.text)


@pytest.mark.parametrize(
    "line",
    [
        "airscrew lost",
        "airscrew run task.pb --nonsense",
        "airscrew --nonsense list",
        "airscrew list --limit",
        "airscrew state lose",
        "airscrew kill a --nonsense=3",
    ],
)
def test_a_command_that_does_not_parse_is_found(line: str) -> None:
    with pytest.raises((click.ClickException, AssertionError)):
        parse(line)


def every_option() -> set[str]:
    assert isinstance(cli, LazyGroup)
    root = click.Context(cli, obj=App())
    todo = [cli, *(cli.get_command(root, command) for command in COMMANDS)]
    found: set[str] = set()
    for command in todo:
        assert command is not None
        parameters = command.get_params(click.Context(command, obj=App()))
        found.update(word for one in parameters for word in [*one.opts, *one.secondary_opts])
        if isinstance(command, click.Group) and command is not cli:
            todo += list(command.commands.values())
    return found


def test_every_option_that_is_told_of_by_itself_exists() -> None:
    known = every_option()
    pages = [page for page in PAGES if page.parent != ROOT / "examples"]

    told = {
        (name(page), word.split()[0].partition("=")[0])
        for page in pages
        for word in INLINE.findall(FENCED.sub("", page.read_text("utf8")))
        if word.startswith("-")
    }

    assert sorted(f"{page}: {option}" for page, option in told if option not in known) == []


def test_the_pages_are_those_that_people_read() -> None:
    names = {name(page) for page in PAGES}

    assert {"README.md", "CONTRIBUTING.md", "docs/index.md", "docs/operating.md", "docs/external-jobs.md"} <= names
    assert len(commands()) > 30


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples are as in a checkout, and state is nobody's."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_commands_that_stand_alone_run(place: Path) -> None:
    told = {said.text for said in commands()}
    assert [line for line in RUNNABLE if line not in told and line != "airscrew version"] == []

    for line in RUNNABLE:
        done = run(*shlex.split(line), cwd=place, timeout=120, AIRSCREW_HOME=str(place / "home"))
        assert done.returncode == 0, f"{line}: {done.stderr}"
        if "greet" in line:
            assert "Ada" in done.stdout


def test_the_tour_runs_to_its_end(place: Path) -> None:
    done = run(sys.executable, "examples/tour.py", cwd=place, timeout=200)

    assert done.returncode == 0, done.stderr
    assert "Hello, Ada!" in done.stdout
    assert "words: int = 6" in done.stdout
    assert '"status":"running"' in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text("utf8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)

    broken = [target for target in targets if not re.match(r"https?:", target) and not _leads(page, target)]

    assert broken == []


def _leads(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    found = (page.parent / path).resolve() if path else page
    if not found.exists():
        return False
    headings = re.findall(r"^#+ (.+)$", found.read_text("utf8"), re.MULTILINE) if anchor else []
    return not anchor or anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_of_the_checkout_that_are_named_are_there(page: Path) -> None:
    words = INLINE.findall(FENCED.sub("", page.read_text("utf8")))
    tops = "docs|examples|tests|engine|plugins|state|idl|benchmarks"
    named = [word for word in words if re.match(rf"({tops})/[\w./-]*$", word)]

    assert [word for word in named if not (ROOT / word).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_targets_of_make_that_are_named_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE))

    named = set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text("utf8"), re.MULTILINE))

    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_extras_that_are_named_are_there(page: Path) -> None:
    named = re.findall(r"airscrew\[([\w,]+)\]", page.read_text("utf8"))

    extras = {extra for group in named for extra in group.split(",")}

    assert extras <= set(pyproject()["project"]["optional-dependencies"])


def settings_blocks() -> list[Said]:
    """The blocks of a page that show settings in YAML, fenced or indented."""
    found = []
    for page in PAGES:
        text = page.read_text("utf8")
        fenced = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        indented = re.findall(r"((?:^ {4}.*\n)+)", FENCED.sub("", text), re.MULTILINE)
        blocks = [*fenced, *(block for block in indented if re.match(r" {4}[a-z_]+: [{]", block))]
        found += [Said(name(page), block) for block in blocks]
    return found


@pytest.mark.parametrize("said", settings_blocks(), ids=lambda said: said.page)
def test_settings_that_are_shown_are_taken(said: Said, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(said.text)))

    settings = load_settings(config=file, environment={"HOME": str(tmp_path)})

    assert settings.home
    if "http_job" in settings.executors:
        assert read_config(settings.executors["http_job"]).services


def test_variables_that_are_named_are_read(tmp_path: Path) -> None:
    text = " ".join(page.read_text("utf8") for page in PAGES)
    sources = " ".join(module.text for module in modules(*PARTS))
    named = set(re.findall(r"\bAIRSCREW_[A-Z_]+\b", text))

    unread = {one for one in named if one not in sources and not one.startswith("AIRSCREW_SECRET_")}

    for variable in unread:
        assert load_settings(environment={"HOME": str(tmp_path), variable: "100"}), variable
        with pytest.raises(Exception, match="no number at all"):
            load_settings(environment={"HOME": str(tmp_path), variable: "no number at all"})


def test_the_exit_codes_are_told_as_they_are() -> None:
    page = (ROOT / "docs/running-tasks.md").read_text("utf8")

    told = re.findall(r"^\| (\d) \| [^|]+ \|$", page, re.MULTILINE)

    assert [int(code) for code in told] == [code.value for code in ExitCode if code < ExitCode.INTERRUPTED]


def test_the_site_builds(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "--site-dir", tmp_path / "site")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "operating" / "index.html").is_file()
