"""Tasks as data scientists write them; `airscrew run examples/flytekit/hello.py greet --name Ada` runs one."""

from dataclasses import dataclass

from flytekit import task


@dataclass
class Greeting:
    text: str
    letters: int


@task
def greet(name: str, times: int = 1) -> Greeting:
    text = " ".join([f"Hello, {name}!"] * times)
    print(f"saying {text!r}")
    return Greeting(text=text, letters=len(text))


@task
def divide(a: float, b: float) -> float:
    return a / b
