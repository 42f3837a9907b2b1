"""Files that start a run on machines elsewhere: a Kubernetes Indexed Job, a SkyPilot task.

Both start Ray on every machine and the run on the first, which keeps the folder; the others do
shards.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from plumbrule.errors import ConfigError
from plumbrule.version import __version__

PORT = 6379
"""Where Ray's head listens."""

TOKEN = "RAY_AUTH_TOKEN"
"""By which Ray's machines know each other; it stands in no file."""

FOLDER = "/work/runs"
"""Where the image expects what is kept."""

RESTARTS = 20
"""Times that a machine which fails is started again; those that are taken away do not count."""


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """What the machines are."""

    name: str = "plumbrule"
    """Of the job: small letters, digits and dashes."""

    workers: int = 2
    """Machines; the first also runs what is no shard, such as training."""

    cpus: int = 4
    """A machine."""

    memory_gib: int = 16
    """A machine."""

    gpus: int = 0
    """A machine."""

    accelerator: str | None = None
    """Which GPU, as SkyPilot names it, such as `H100`."""

    image: str = f"plumbrule:{__version__}"
    """Container with this package and its extra `ray`."""

    claim: str | None = None
    """Kubernetes: the PersistentVolumeClaim that keeps the runs."""

    bucket: str | None = None
    """SkyPilot: the bucket that keeps the runs, such as `s3://NAME`."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?", self.name):
            raise ConfigError(
                "expected a name of small letters, digits and dashes, at most 52, got "
                f"{self.name!r:.100}"
            )
        for field, least in (("workers", 1), ("cpus", 1), ("memory_gib", 1), ("gpus", 0)):
            if not least <= getattr(self, field) <= 10_000:
                raise ConfigError(
                    f"expected {field} of at least {least}, got {getattr(self, field)}"
                )


def kubernetes_job(words: Sequence[str], settings: JobSettings) -> str:
    """An Indexed Job and the service by which its pods find each other, for `kubectl apply`.

    The pods take the token by which they know each other from the Secret `NAME-ray`, key `token`.

    Args:
        words: What to run, `run` and its options; a folder under `/work/runs` is kept by the claim.
        settings: What the machines are.

    Returns:
        YAML of two documents.

    Raises:
        ConfigError: It is no run, or no claim is named to keep it.
    """
    if settings.claim is None:
        raise ConfigError(
            "expected --claim, the PersistentVolumeClaim that keeps the run: without it whatever "
            "a preempted machine had finished is gone"
        )
    head = f"{settings.name}-0.{settings.name}:{PORT}"
    resources: dict[str, Any] = {
        "cpu": str(settings.cpus),
        "memory": f"{settings.memory_gib}Gi",
        **({"nvidia.com/gpu": str(settings.gpus)} if settings.gpus else {}),
    }
    container = {
        "name": "plumbrule",
        "image": settings.image,
        "command": [
            "/bin/sh",
            "-c",
            _script("$JOB_COMPLETION_INDEX", head, words, settings, again=True),
        ],
        "env": [
            {"name": "RAY_AUTH_MODE", "value": "token"},
            {
                "name": TOKEN,
                "valueFrom": {"secretKeyRef": {"name": f"{settings.name}-ray", "key": "token"}},
            },
        ],
        "resources": {"requests": resources, "limits": dict(resources)},
        "volumeMounts": [
            {"name": "runs", "mountPath": FOLDER},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # Ray keeps what it sends there
        ],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": settings.name},
        "spec": {
            "completionMode": "Indexed",
            "completions": settings.workers,
            "parallelism": settings.workers,
            "backoffLimitPerIndex": RESTARTS,
            # The run ends in the first pod; the others would wait for shards for ever.
            "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",  # preempted or drained: begun again, as often as needed
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailJob",  # a gate failed, or the input is wrong
                        "onExitCodes": {"operator": "In", "values": [1, 2]},
                    },
                ]
            },
            "template": {
                "spec": {
                    "subdomain": settings.name,
                    "restartPolicy": "Never",
                    "containers": [container],
                    "volumes": [
                        {
                            "name": "runs",
                            "persistentVolumeClaim": {"claimName": settings.claim},
                        },
                        {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
                    ],
                }
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": settings.name},
        "spec": {
            "clusterIP": "None",
            "selector": {"batch.kubernetes.io/job-name": settings.name},
            "publishNotReadyAddresses": True,
            "ports": [{"name": "ray", "port": PORT}],
        },
    }
    return yaml.dump_all([service, job], Dumper=_ScriptDumper, sort_keys=False, width=10_000)


def sky_task(words: Sequence[str], settings: JobSettings) -> str:
    """A SkyPilot task on spot machines, for `sky jobs launch`.

    Args:
        words: As for `kubernetes_job`.
        settings: What the machines are.

    Returns:
        YAML of one document.

    Raises:
        ConfigError: It is no run, no bucket is named to keep it, or no kind of GPU.
    """
    if settings.bucket is None:
        raise ConfigError(
            "expected --bucket, such as s3://NAME, that keeps the run: without it whatever a "
            "preempted machine had finished is gone"
        )
    if settings.gpus and settings.accelerator is None:
        raise ConfigError("expected --accelerator with --gpus, such as H100")
    head = f'$(echo "$SKYPILOT_NODE_IPS" | head -n1):{PORT}'
    resources: dict[str, Any] = {
        "cpus": f"{settings.cpus}+",
        "memory": f"{settings.memory_gib}+",
        "use_spot": True,
        "image_id": f"docker:{settings.image}",
    }
    if settings.gpus:
        resources["accelerators"] = {settings.accelerator: settings.gpus}
    task = {
        "name": settings.name,
        "num_nodes": settings.workers,
        "resources": resources,
        "file_mounts": {FOLDER: {"source": settings.bucket, "mode": "MOUNT"}},
        "envs": {"RAY_AUTH_MODE": "token"},
        "secrets": {TOKEN: None},  # asked for when it is launched
        "run": _script("$SKYPILOT_NODE_RANK", head, words, settings, again=False),
    }
    return yaml.dump(task, Dumper=_ScriptDumper, sort_keys=False, width=10_000)


def _script(
    index: str, head: str, words: Sequence[str], settings: JobSettings, *, again: bool
) -> str:
    """What each machine does: the first runs, the others do shards for as long as it is there.

    Where `again`, a first machine that was taken away comes back alone, and the others wait for it;
    otherwise all of them come back together, and a machine whose first has gone is done.
    """
    if not words or words[0] != "run" or "--ray" in words:
        raise ConfigError(
            "expected `run` and its options without --ray after `--`, got "
            f"{shlex.join(words) or 'nothing'!r:.200}"
        )
    command = shlex.join(["plumbrule", *words, "--ray", f"auto#{settings.workers}"])
    join = f"""until ray start --address={head}; do sleep 5; done
while ray health-check --address={head}; do sleep 10; done
ray stop
"""
    return f"""if [ "{index}" = 0 ]; then
  ray start --head --port={PORT}
  {command}
  ended=$?
  ray stop
  exit $ended
fi
{f"while true; do{chr(10)}{join}done{chr(10)}" if again else join}"""


class _ScriptDumper(yaml.SafeDumper):
    """Writes scripts as they are read, a line a line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_ScriptDumper.add_representer(str, _text)
