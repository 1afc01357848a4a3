"""Poisson disc: distances and numbers."""

import torch

from medconsist.mri.poisson_disc import poisson_disc


def _drawn(profile: torch.Tensor, n_samples: int, generator: torch.Generator) -> torch.Tensor:
    everywhere = torch.ones(profile.shape, dtype=torch.bool)
    return poisson_disc(profile, everywhere, n_samples=n_samples, generator=generator)


def test_points_of_uniform_density_keep_a_distance(generator: torch.Generator) -> None:
    mask = _drawn(torch.ones(96, 80), 700, generator)
    places = torch.nonzero(mask).double()
    nearest = (torch.cdist(places, places) + torch.eye(len(places)) * 1e9).min(dim=1).values
    # random points of this density come as near as 1; the densest packing would reach 3.6
    assert len(places) == 700
    assert float(nearest.min()) >= 2.0


def test_distances_grow_with_the_profile(generator: torch.Generator) -> None:
    profile = torch.linspace(1, 4, 120)[None, :].expand(120, 120)
    places = torch.nonzero(_drawn(profile, 1200, generator)).double()
    nearest = (torch.cdist(places, places) + torch.eye(len(places)) * 1e9).min(dim=1).values
    left, right = nearest[places[:, 1] < 30], nearest[places[:, 1] > 90]
    assert float(right.mean()) > 1.8 * float(left.mean())


def test_any_number_can_be_asked_for(generator: torch.Generator) -> None:
    for n_samples in (0, 1, 2, 37, 1599, 1600):
        assert int(_drawn(torch.ones(40, 40), n_samples, generator).sum()) == n_samples


def test_only_candidates_are_drawn(generator: torch.Generator) -> None:
    candidates = torch.zeros(40, 40, dtype=torch.bool)
    candidates[:, :20] = True
    mask = poisson_disc(torch.ones(40, 40), candidates, n_samples=90, generator=generator)
    assert int(mask.sum()) == 90
    assert not mask[:, 20:].any()
