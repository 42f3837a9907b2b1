"""Against the same products with the zeros written out, and against a sort of everything."""

import pytest
import torch

from plumbrule.mechanism.features import sparse


def numbers(rows, latents, seed=0, step=None):
    found = torch.randn(rows, latents, generator=torch.Generator().manual_seed(seed))
    return found if step is None else (found / step).round() * step


def top_of_each(table, count):
    kept = torch.zeros_like(table)
    values, places = table.topk(count, dim=1)
    return kept.scatter(1, places, values.clamp(min=0))


@pytest.mark.parametrize("latents", [20, 64, 256, 2048])
@pytest.mark.parametrize("count", [1, 5])
def test_the_largest_of_each_row_are_those_that_a_sort_finds(latents, count):
    table = numbers(40, latents)

    assert torch.equal(
        sparse.dense(sparse.top_of_rows(table, count), latents), top_of_each(table, count)
    )


def test_activations_below_zero_are_left_out_even_where_too_few_are_above():
    table = numbers(30, 512) - 3.0

    found = sparse.dense(sparse.top_of_rows(table, 8), 512)

    assert torch.equal(found, top_of_each(table, 8))
    assert (found > 0).sum() < 30 * 8


def test_of_equal_numbers_as_many_stay_as_are_wanted():
    table = numbers(30, 512, step=0.5)

    found = sparse.top_of_rows(table, 8)

    assert found.starts.diff().eq(8).all()
    assert torch.equal(
        sparse.dense(found, 512).sort(dim=1).values, top_of_each(table, 8).sort(dim=1).values
    )


@pytest.mark.parametrize("latents", [20, 64, 2048])
def test_the_largest_of_a_batch_are_those_that_a_sort_finds(latents):
    table = numbers(50, latents)
    least = table.flatten().topk(50 * 4).values.min()

    found = sparse.dense(sparse.top_of_batch(table, 4), latents)

    assert torch.equal(found, torch.where((table >= least) & (table > 0), table, 0.0))


def test_encoding_in_parts_is_encoding():
    inputs, weight, bias = numbers(600, 16), numbers(128, 16, 1), numbers(1, 128, 2)[0]

    found = sparse.dense(sparse.encode_top(inputs, weight, bias, 3), 128)

    assert torch.allclose(found, top_of_each(inputs @ weight.mT + bias, 3), atol=1e-5)


def test_products_are_those_with_the_zeros_written_out():
    codes = sparse.above(numbers(30, 40), torch.full((40,), 1.0))
    table, weight, slopes = sparse.dense(codes, 40), numbers(40, 7, 1), numbers(30, 7, 2)

    assert torch.allclose(sparse.decoded(codes, weight), table @ weight, atol=1e-5)
    assert torch.allclose(
        sparse.value_slopes(codes, weight, slopes),
        (slopes @ weight.mT)[codes.rows, codes.latents],
        atol=1e-5,
    )
    ordered = sparse.by_latent(codes, 40)
    sums = [ordered.sums(codes.values[ordered.order], slopes, part) for part in ((0, 13), (13, 40))]
    assert torch.allclose(torch.cat(sums), table.mT @ slopes, atol=1e-5)


def test_some_latents_alone_are_columns_of_the_whole():
    codes = sparse.above(numbers(30, 40), torch.full((40,), 0.5))

    assert torch.equal(sparse.dense(codes.within((10, 25)), 15), sparse.dense(codes, 40)[:, 10:25])


def test_a_batch_without_any_activation_writes_nothing():
    codes = sparse.above(numbers(5, 8), torch.full((8,), 100.0))

    assert sparse.decoded(codes, numbers(8, 3)).eq(0).all()
    assert sparse.value_slopes(codes, numbers(8, 3), numbers(5, 3)).numel() == 0
