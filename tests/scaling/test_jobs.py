"""Files that start a run elsewhere: what they say, and what is refused.

`python -m benchmarks.scale --part files` holds them against the schemas of both systems.
"""

import subprocess

import pytest
import yaml
from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.errors import ConfigError
from plumbrule.scaling import JobSettings, kubernetes_job, sky_task

WORDS = ["run", "--recipe", "quick", "--out", "/work/runs/a b; rm -r /"]
KEPT = JobSettings(workers=8, claim="runs", bucket="s3://runs")


def scripts():
    _, job = yaml.safe_load_all(kubernetes_job(WORDS, KEPT))
    yield job["spec"]["template"]["spec"]["containers"][0]["command"][2]
    yield yaml.safe_load(sky_task(WORDS, KEPT))["run"]


@pytest.mark.parametrize("script", list(scripts()), ids=["kubernetes", "skypilot"])
def test_the_first_machine_runs_and_the_words_stay_words(script, tmp_path):
    # Everything that the script calls only tells what it was given.
    for name in ("ray", "plumbrule"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "{name}"; printf " <%s>" "$@"; echo\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": f"{tmp_path}:/bin:/usr/bin", "JOB_COMPLETION_INDEX": "0",
             "SKYPILOT_NODE_RANK": "0"},
        capture_output=True, text=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ray <start> <--head> <--port=6379>",
        "plumbrule <run> <--recipe> <quick> <--out> </work/runs/a b; rm -r /> <--ray> <auto#8>",
        "ray <stop>",
    ]


def test_the_job_ends_with_its_first_pod_and_preemption_does_not_count():
    service, job = yaml.safe_load_all(kubernetes_job(WORDS, KEPT))

    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 8
    assert job["spec"]["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    assert job["spec"]["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    [_, token] = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert token["valueFrom"]["secretKeyRef"] == {"name": "plumbrule-ray", "key": "token"}
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]


@pytest.mark.parametrize(
    ("write", "given", "words", "match"),
    [
        (kubernetes_job, {}, WORDS, "--claim"),
        (sky_task, {}, WORDS, "--bucket"),
        (sky_task, {"bucket": "s3://x", "gpus": 1}, WORDS, "--accelerator"),
        (sky_task, {"bucket": "s3://x"}, ["compare", "A", "B"], "expected `run`"),
        (sky_task, {"bucket": "s3://x"}, [], "nothing"),
        (kubernetes_job, {"claim": "x"}, [*WORDS, "--ray", "auto"], "without --ray"),
    ],
)
def test_what_would_not_work_is_refused(write, given, words, match):
    with pytest.raises(ConfigError, match=match):
        write(words, JobSettings(**given))


@pytest.mark.parametrize("given", [{"name": "A b"}, {"name": ""}, {"workers": 0}, {"gpus": -1}])
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(ConfigError, match="expected"):
        JobSettings(**given)


def test_the_verb_writes_the_file_and_says_how_to_start_it(tmp_path):
    out = tmp_path / "job.yaml"
    done = CliRunner().invoke(
        app, ["scale", "kubernetes", "--claim", "runs", "--out", str(out), "--", *WORDS]
    )

    assert (done.exit_code, out.read_text()) == (
        0,
        kubernetes_job(WORDS, JobSettings(claim="runs")),
    )
    assert "kubectl apply -f" in done.output
