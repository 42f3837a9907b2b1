"""Work spread over processes and machines: who does the shards, and the files that start them."""

from plumbrule.scaling.jobs import JobSettings, kubernetes_job, sky_task
from plumbrule.scaling.workers import ray_workers

__all__ = ["JobSettings", "kubernetes_job", "ray_workers", "sky_task"]
