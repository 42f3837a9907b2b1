"""A whole run through workers, some of them lost, is the run of one process."""

from dataclasses import replace

from tests.evidence.conftest import CONFIG
from tests.scaling.fake_ray import FakeRay

from plumbrule.lab import village_prompts
from plumbrule.loop import align
from plumbrule.recipes import village_oracle
from plumbrule.scaling import workers
from plumbrule.store import file_sha256, one_after_another


def done(out, fan):
    prompts = village_prompts(
        tempting=2, honesty=1, deserving=1, examined_tempting=1, examined_deserving=1
    )
    config = replace(CONFIG, method="none", shard_size=24)
    outcome = align(config, prompts=prompts, out=out, oracle=village_oracle, fan=fan)
    files = [*out.glob("stages/**/*.jsonl"), *out.glob("models/**/*.safetensors")]
    return {str(path.relative_to(out)): file_sha256(path) for path in files}, outcome.content


def test_a_run_through_workers_leaves_the_same_records_and_weights(tmp_path):
    ray = FakeRay(lose=(3, 9))
    fanned, content = done(tmp_path / "fanned", workers._Workers(ray, 3))
    alone, plain = done(tmp_path / "alone", one_after_another)

    assert fanned == alone
    assert any("models/" in name for name in fanned)
    assert sum(each.get("retries", 0) for each in content["stages"]) == 2
    assert [each["calls"] for each in content["stages"]] == [
        each["calls"] for each in plain["stages"]
    ]
