"""Nystrom attention against dense matrices, its pseudo-inverse, and what it keeps in memory."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.networks.nystrom import NystromAttention, iterative_pinv, nystrom_row

# float64; sums in another order, through a pseudo-inverse
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10)


def attention_of(generator: Generator, **options: Any) -> NystromAttention:
    made = NystromAttention(24, heads=3, landmarks=8, generator=generator, **options)
    return made.double().eval()


def dense(attention: NystromAttention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Every matrix formed, head by head: the output, and the padded attention matrices."""
    landmarks, heads = attention.landmarks, attention.heads
    count, dim = tokens.shape
    length = dim // heads
    filled = -(-count // landmarks) * landmarks
    x = torch.cat([tokens.new_zeros(filled - count, dim), tokens])
    q, k, v = (x @ attention.to_qkv.weight.T).chunk(3, 1)
    outs, maps = [], []
    cores, parts = [], []
    for head in range(heads):
        of = slice(head * length, (head + 1) * length)
        qh, kh, vh = q[:, of] * length**-0.5, k[:, of], v[:, of]
        ql, kl = (y.reshape(landmarks, -1, length).mean(1) for y in (qh, kh))
        parts.append(((qh @ kl.T).softmax(1), (ql @ kh.T).softmax(1), vh))
        cores.append((ql @ kl.T).softmax(1))
    core = naive_pinv(torch.stack(cores))
    for head, (left, right, vh) in enumerate(parts):
        whole = left @ core[head] @ right
        kernel = attention.residual.weight[head, 0, :, 0]
        near = torch.stack(
            [
                total(
                    kernel[tap] * vh[at + tap - 16]
                    for tap in range(33)
                    if 0 <= at + tap - 16 < filled
                )
                for at in range(filled)
            ]
        )
        outs.append(whole @ vh + near)
        maps.append(whole)
    out = torch.cat(outs, 1) @ attention.to_out.weight.T + attention.to_out.bias
    return out[filled - count :], torch.stack(maps)


def total(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum(0)


def naive_pinv(matrices: Tensor) -> Tensor:
    most_row = torch.stack([m.abs().sum(1).max() for m in matrices]).max()
    most_column = torch.stack([m.abs().sum(0).max() for m in matrices]).max()
    eye = torch.eye(matrices.shape[-1], dtype=matrices.dtype)
    inverses = []
    for m in matrices:
        z = m.T / (most_row * most_column)
        for _ in range(6):
            z = 0.25 * z @ (13 * eye - m @ z @ (15 * eye - m @ z @ (7 * eye - m @ z)))
        inverses.append(z)
    return torch.stack(inverses)


@pytest.mark.parametrize("count", [1, 5, 8, 37])
def test_output_equals_the_dense_matrices(count: int, generator: Generator) -> None:
    attention = attention_of(generator)
    tokens = torch.randn(count, 24, dtype=torch.float64, generator=generator)
    close(attention(tokens).tokens, dense(attention, tokens)[0])


def test_gradients_equal_those_of_the_dense_matrices(generator: Generator) -> None:
    attention = attention_of(generator)
    tokens = torch.randn(19, 24, dtype=torch.float64, generator=generator).requires_grad_()
    weight = torch.randn(19, 24, dtype=torch.float64, generator=generator)
    inputs = [tokens, attention.to_qkv.weight, attention.residual.weight, attention.to_out.weight]
    ours = torch.autograd.grad((attention(tokens).tokens * weight).sum(), inputs)
    theirs = torch.autograd.grad((dense(attention, tokens)[0] * weight).sum(), inputs)
    for our, their in zip(ours, theirs, strict=True):
        close(our, their)


def test_gradients_agree_with_finite_differences(generator: Generator) -> None:
    attention = attention_of(generator)
    tokens = torch.randn(11, 24, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: attention(x).tokens, (tokens,), fast_mode=True)


def test_rows_equal_those_of_the_dense_matrix(generator: Generator) -> None:
    attention = attention_of(generator)
    tokens = torch.randn(21, 24, dtype=torch.float64, generator=generator)
    whole, padding = dense(attention, tokens)[1], 3
    first = attention(tokens, row="first").row
    close(first, whole[:, padding, padding:])
    padded = attention(tokens, row="padded").row
    close(padded, whole[:, 0, padding:])
    assert not first.requires_grad


def test_padded_row_is_the_first_one_without_padding(generator: Generator) -> None:
    attention = attention_of(generator)
    tokens = torch.randn(16, 24, dtype=torch.float64, generator=generator)
    assert torch.equal(attention(tokens, row="padded").row, attention(tokens, row="first").row)


def test_row_in_blocks_equals_the_row_at_once(generator: Generator) -> None:
    shapes = {"query": (2, 4), "some_k": (2, 8, 4), "core": (2, 8, 8), "some_q": (2, 8, 4)}
    parts: dict[str, Any] = {
        name: torch.randn(shape, dtype=torch.float64, generator=generator)
        for name, shape in shapes.items()
    }
    keys = torch.randn(2, 50, 4, dtype=torch.float64, generator=generator)
    whole = nystrom_row(**parts, keys=keys)
    close(nystrom_row(**parts, keys=keys, budget=300), whole)
    close(nystrom_row(**parts, keys=keys, budget=1), whole)


@pytest.mark.parametrize("asked", [1, 20])
def test_asking_for_few_tokens_gives_the_first_of_all(asked: int, generator: Generator) -> None:
    attention = attention_of(generator)
    tokens = torch.randn(45, 24, dtype=torch.float64, generator=generator)
    whole = attention(tokens).tokens[:asked]
    close(attention(tokens, asked=asked).tokens, whole)


def test_landmark_for_every_token_gives_ordinary_attention(generator: Generator) -> None:
    attention = attention_of(generator)
    attention.steps = 40
    torch.nn.init.zeros_(attention.residual.weight)
    tokens = 3 * torch.randn(8, 24, dtype=torch.float64, generator=generator)
    q, k, v = attention.to_qkv(tokens).unflatten(1, (3, 3, 8)).permute(1, 2, 0, 3)
    ordinary = (q @ k.mT * 8**-0.5).softmax(-1) @ v
    expected = attention.to_out(ordinary.transpose(0, 1).flatten(1))
    # The inverse of a matrix of condition 1e3 to 1e5, by iteration.
    close(attention(tokens).tokens, expected, rtol=1e-6, atol=1e-8)


def test_contributions_with_a_row_add_up_to_the_output_without_convolution(
    generator: Generator,
) -> None:
    attention = attention_of(generator)
    torch.nn.init.zeros_(attention.residual.weight)
    tokens = torch.randn(16, 24, dtype=torch.float64, generator=generator)
    said = attention(tokens, row="first")
    parts = attention.contributions(tokens, said.row) - attention.to_out.bias
    torch.testing.assert_close(parts.sum(0) + attention.to_out.bias, said.tokens[0])


def test_pinv_is_close_to_that_of_torch(generator: Generator) -> None:
    scores = torch.randn(4, 16, 16, dtype=torch.float64, generator=generator)
    matrix = (scores + 6 * torch.eye(16, dtype=torch.float64)).softmax(-1)
    exact = torch.linalg.pinv(matrix)
    # Six steps from the published start leave 1e-4 to 1e-3 of the largest entry.
    close(iterative_pinv(matrix), exact, rtol=0, atol=2e-3)
    torch.testing.assert_close(iterative_pinv(matrix, steps=12), exact, rtol=0, atol=1e-9)


def test_own_maxima_make_heads_independent(generator: Generator) -> None:
    matrices = torch.randn(3, 6, 6, dtype=torch.float64, generator=generator).softmax(-1)
    alone = torch.cat([iterative_pinv(m[None]) for m in matrices])
    torch.testing.assert_close(iterative_pinv(matrices, maxima="head"), alone)
    assert not torch.allclose(iterative_pinv(matrices), alone)


def test_nothing_of_tokens_by_landmarks_is_kept_for_the_backward_pass(
    generator: Generator,
) -> None:
    attention = NystromAttention(64, landmarks=128, generator=generator)
    count, kept = 4096, list[int]()
    tokens = torch.randn(count, 64, generator=generator).requires_grad_()

    def keep(saved: Tensor) -> Tensor:
        kept.append(saved.numel())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        attention(tokens, row="first")
    assert max(kept) <= 3 * count * 64  # queries, keys and values; the factors have 8 * count * 128


def test_half_precision_stays_half_and_finite(generator: Generator) -> None:
    attention = NystromAttention(32, heads=2, landmarks=4, generator=generator).bfloat16()
    tokens = torch.randn(9, 32, generator=generator).bfloat16()
    said = attention(tokens, row="first")
    assert said.tokens.dtype is torch.bfloat16
    assert bool(said.tokens.isfinite().all())
    assert said.row.dtype is torch.float32


def test_autocast_agrees_with_full_precision(generator: Generator) -> None:
    attention = NystromAttention(32, heads=2, landmarks=4, generator=generator).eval()
    tokens = torch.randn(19, 32, generator=generator)
    full = attention(tokens, row="first")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = attention(tokens, row="first")
    # bfloat16 has 8 bits, and the pseudo-inverse makes their errors some times larger.
    torch.testing.assert_close(half.tokens.float(), full.tokens, rtol=0.1, atol=0.05)
    torch.testing.assert_close(half.row, full.row, rtol=0.1, atol=0.05)


def test_same_generator_gives_the_same_weights() -> None:
    one, two = (
        NystromAttention(16, heads=2, generator=Generator().manual_seed(3)) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"landmarks": 0}, {"dropout": 1.0}])
def test_wrong_sizes_are_refused(wrong: dict[str, Any], generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="heads that divide dim"):
        NystromAttention(16, generator=generator, **wrong)
