"""PANTHER: its mixture against loops over the formulas, and that it tells bags apart."""

import math

import pytest
import torch
from torch import Generator, Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.panther import Panther, fit_prototypes, mixture_of_bag

DIM, KINDS = 5, 3


def mixed(shares: list[float], n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return instances of kinds far apart, and the kind of each."""
    kind = torch.multinomial(torch.tensor(shares), n, replacement=True, generator=generator)
    centres = 8 * torch.eye(KINDS, DIM)
    return centres[kind] + torch.randn(n, DIM, generator=generator), kind


def naive(
    rows: Tensor, prototypes: Tensor, steps: int, tau: float, v: float
) -> tuple[list[float], Tensor, Tensor, Tensor]:
    x, m = rows.double(), prototypes.double()
    n_components = len(m)
    share, mean = [1 / n_components] * n_components, m.clone()
    spread = torch.full_like(m, v)
    q = torch.zeros(len(x), n_components, dtype=torch.float64)
    for _ in range(steps):
        for i, row in enumerate(x):
            terms = []
            for c in range(n_components):
                density = share[c]
                for d in range(len(row)):
                    density *= math.exp(-((row[d] - mean[c, d]) ** 2) / (2 * spread[c, d]))
                    density /= math.sqrt(2 * math.pi * spread[c, d])
                terms.append(float(density))
            q[i] = torch.tensor(terms, dtype=torch.float64) / sum(terms)
        weight = q.sum(0) + tau
        share = (weight / weight.sum()).tolist()
        for c in range(n_components):
            mean[c] = (sum(q[i, c] * x[i] for i in range(len(x))) + tau * m[c]) / weight[c]
        for c in range(n_components):
            square = sum(q[i, c] * x[i] ** 2 for i in range(len(x))) + tau * (v + m[c] ** 2)
            spread[c] = square / weight[c] - mean[c] ** 2
    return share, mean, spread, q


@pytest.mark.parametrize(("steps", "tau", "v"), [(1, 1.0, 1.0), (3, 0.5, 2.0)])
def test_the_mixture_is_that_of_naive_loops(
    steps: int, tau: float, v: float, generator: Generator
) -> None:
    rows = torch.randn(9, DIM, generator=generator)
    prototypes = torch.randn(KINDS, DIM, generator=generator)
    found = mixture_of_bag(rows, prototypes, steps=steps, tau=tau, variance=v)
    share, mean, spread, q = naive(rows, prototypes, steps, tau, v)
    assert found.share.tolist() == pytest.approx(share, rel=1e-4)  # float32
    for ours, theirs in zip(found[1:], (mean, spread, q), strict=True):
        assert torch.allclose(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_a_mixture_finds_the_shares_and_a_component_without_instances_keeps_its_prototype() -> None:
    rows, kind = mixed([0.75, 0.25, 0.0], 20_000, Generator().manual_seed(0))
    prototypes = 8 * torch.eye(KINDS, DIM)
    found = mixture_of_bag(rows, prototypes)
    assert torch.equal(found.posterior.argmax(1), kind)
    # more rows than a block; four standard errors of 20,000 draws
    assert found.share[0].item() == pytest.approx(0.75, abs=0.013)
    assert torch.allclose(found.mean[2], prototypes[2], atol=1e-4)
    assert torch.allclose(found.variance[:2], torch.ones(2, DIM), atol=0.06)


def test_features_far_from_zero_lose_no_variance() -> None:
    rows, _ = mixed([0.5, 0.5, 0.0], 500, Generator().manual_seed(0))
    prototypes = 8 * torch.eye(KINDS, DIM)
    near, far = mixture_of_bag(rows, prototypes), mixture_of_bag(rows + 500, prototypes + 500)
    # float32 at 500 has steps of 3e-5
    assert torch.allclose(near.variance, far.variance, atol=1e-3)
    assert bool((far.variance > 0).all())


def cohort(n_bags: int, generator: Generator) -> tuple[Cohort, list[Tensor]]:
    shares = [[0.5, 0.5, 0.0], [0.4, 0.35, 0.25]]
    bags = [mixed(shares[n % 2], 60, generator) for n in range(n_bags)]
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}", label=n % 2) for n in range(n_bags)]
    return Cohort.of(InMemoryBags([rows for rows, _ in bags]), infos), [kind for _, kind in bags]


def test_prototypes_are_found_without_labels_and_tell_bags_apart(generator: Generator) -> None:
    train, kinds = cohort(40, generator)
    unlabelled = Cohort.of(
        train.source, [BagInfo(case=i.case, patient=i.patient) for i in train.infos]
    )
    seeded = [Generator().manual_seed(1) for _ in range(2)]
    prototypes = fit_prototypes(unlabelled, components=3, generator=seeded[0])
    again = fit_prototypes(train, components=3, most=10_000, generator=seeded[1])
    assert torch.equal(prototypes, again)

    model = Panther(MilSize(dim=DIM), prototypes, generator=generator)
    model.standardise(unlabelled)
    bags = BagBatch.of([train.rows(bag) for bag in range(40)])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimiser.zero_grad()
        model.losses(model(bags), train.labels)["loss"].backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimiser.step()
    assert torch.equal(model.prototypes, prototypes)
    seen = model(bags).features
    assert torch.allclose(seen.mean(0), torch.zeros(()), atol=1e-3)  # float32
    assert torch.allclose(seen.std(0), torch.ones(()), atol=1e-3)
    test, _ = cohort(40, generator)
    output = model(BagBatch.of([test.rows(bag) for bag in range(40)]))
    assert float((output.logits.argmax(1) == test.labels).float().mean()) > 0.9
    component = model(bags).extra["posterior"].argmax(1)
    kind = torch.cat(kinds)
    pairs = {(int(k), int(c)) for k, c in zip(kind, component, strict=True)}
    assert len(pairs) == KINDS  # each kind is one component of the map


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_bags_of_any_size_get_what_they_get_alone(head: str, generator: Generator) -> None:
    size = MilSize(dim=DIM, width=8)
    prototypes = torch.randn(KINDS, DIM, generator=generator)
    model = Panther(size, prototypes, head=head, generator=generator).eval()  # type: ignore[arg-type]  # one of two
    bags = [torch.randn(n, DIM, generator=generator) for n in (1, 7, 3)]
    together = model(BagBatch.of(bags))
    alone = [model(BagBatch.of([bag])) for bag in bags]
    assert torch.allclose(together.logits, torch.cat([one.logits for one in alone]), atol=1e-5)
    order = torch.randperm(7, generator=generator)
    turned = model(BagBatch.of([bags[1][order]]))
    assert torch.allclose(turned.logits, alone[1].logits, atol=1e-5)
    posterior = alone[1].extra["posterior"]
    assert torch.allclose(turned.extra["posterior"], posterior[order], atol=1e-6)
    assert together.features.shape == (3, KINDS * (1 + 2 * DIM))
    assert isinstance(model.head, nn.Linear) == (head == "linear")


def test_fewer_instances_are_read_where_most_says_so(generator: Generator) -> None:
    train, _ = cohort(10, generator)
    few = fit_prototypes(train, components=3, most=30, kind="minibatch", generator=generator)
    assert few.shape == (3, DIM)
    with pytest.raises(RefusedInputError, match="got 31 components by 'kmeans' of 30 instances"):
        fit_prototypes(train, components=31, most=30, generator=generator)


def test_wrong_prototypes_and_numbers_are_refused(generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match=r"prototypes \(3, 4\) for features of length 5"):
        Panther(MilSize(dim=5), torch.zeros(3, 4), generator=generator)
    with pytest.raises(RefusedInputError, match="finite rows"):
        Panther(MilSize(dim=4), torch.full((3, 4), math.nan), generator=generator)
    with pytest.raises(RefusedInputError, match="got 0 steps"):
        mixture_of_bag(torch.zeros(2, 4), torch.zeros(3, 4), steps=0)
