"""`plumbrule scale`: the file that starts a run on machines elsewhere."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from plumbrule.cli.shown import shown

Where = Literal["kubernetes", "skypilot"]


def scale(
    where: Annotated[Where, typer.Argument(help="An Indexed Job, or a SkyPilot task.")],
    words: Annotated[
        list[str],
        typer.Argument(metavar="-- run …", help="What to run there, after two dashes."),
    ],
    name: Annotated[str, typer.Option(help="Of the job.")] = "plumbrule",
    workers: Annotated[int, typer.Option(min=1, max=10_000, help="Machines.")] = 2,
    cpus: Annotated[int, typer.Option(min=1, max=10_000, help="A machine.")] = 4,
    memory_gib: Annotated[int, typer.Option(min=1, max=10_000, help="A machine.")] = 16,
    gpus: Annotated[int, typer.Option(min=0, max=10_000, help="A machine.")] = 0,
    accelerator: Annotated[
        str | None, typer.Option(help="SkyPilot: which GPU, such as H100.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Container with this package and its extra `ray`.")
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(help="Kubernetes: the PersistentVolumeClaim that keeps the runs."),
    ] = None,
    bucket: Annotated[
        str | None, typer.Option(help="SkyPilot: the bucket that keeps the runs.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; the console where not given.")
    ] = None,
) -> None:
    """Write the file that starts a run on several machines; nothing is started.

    [bold]plumbrule scale kubernetes --workers 8 --claim runs --out job.yaml -- run --model M
    --out /work/runs/m[/], then [bold]kubectl apply -f job.yaml[/].
    """
    from plumbrule.scaling import JobSettings, kubernetes_job, sky_task
    from plumbrule.store import write_atomic

    given = {} if image is None else {"image": image}
    settings = JobSettings(
        name=name, workers=workers, cpus=cpus, memory_gib=memory_gib, gpus=gpus,
        accelerator=accelerator, claim=claim, bucket=bucket, **given,
    )  # fmt: skip
    text = (kubernetes_job if where == "kubernetes" else sky_task)(words, settings)
    if out is None:
        sys.stdout.write(text)
        return
    write_atomic(out, text)
    file = shown(str(out))
    typer.echo(f"Written to {file}. What starts it:")
    if where == "kubernetes":
        secret = f"{name}-ray --from-literal=token=$(openssl rand -hex 32)"
        typer.echo(f"kubectl create secret generic {secret}\nkubectl apply -f {file}")
    else:
        typer.echo(
            f"RAY_AUTH_TOKEN=$(openssl rand -hex 32) sky jobs launch --secret RAY_AUTH_TOKEN {file}"
        )
