"""Tasks of which flytekit writes the command only: shell scripts and raw containers."""

from __future__ import annotations

from flytekit import ContainerTask, kwtypes
from flytekit.extras.tasks.shell import OutputLocation, ShellTask
from flytekit.types.file import FlyteFile

count_lines = ShellTask(
    name="flows.containers.count_lines",
    script="""
    set -ex
    wc -l < {inputs.file} | tr -d ' ' > {outputs.lines}
    """,
    inputs=kwtypes(file=FlyteFile),
    output_locs=[OutputLocation(var="lines", var_type=FlyteFile, location="{inputs.file}.lines")],
)

fails_in_shell = ShellTask(name="flows.containers.fails_in_shell", script="exit 3")

add_in_shell = ContainerTask(
    name="flows.containers.add_in_shell",
    image="busybox:latest",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs=kwtypes(a=int, b=int),
    outputs=kwtypes(total=int, text=str),
    command=[
        "sh",
        "-c",
        'echo $(( $0 + $1 )) > /var/outputs/total; printf "%s plus %s" "$0" "$1" > /var/outputs/text',
        "{{.inputs.a}}",
        "{{.inputs.b}}",
    ],
)

copy_in_shell = ContainerTask(
    name="flows.containers.copy_in_shell",
    image="busybox:latest",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs=kwtypes(infile=FlyteFile, times=int),
    outputs=kwtypes(outfile=FlyteFile),
    command=[
        "sh",
        "-c",
        "for i in $(seq $(cat /var/inputs/times)); do cat /var/inputs/infile; done > /var/outputs/outfile",
    ],
)

fails_in_container = ContainerTask(
    name="flows.containers.fails_in_container",
    image="busybox:latest",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    outputs=kwtypes(total=int),
    command=["sh", "-c", "echo on the way out >&2; exit 5"],
)

no_interface = ContainerTask(name="flows.containers.no_interface", image="busybox:latest", command=["true"])
