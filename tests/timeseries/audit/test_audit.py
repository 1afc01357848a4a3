"""The audit fires on planted leaks, passes clean splits, and sets both accuracies side by side."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.group_probe import ProbeSettings
from medconsist.timeseries.audit import copies
from medconsist.timeseries.audit.across import (
    names_apart,
    overlaps_across,
    parts_of_round,
    patients_apart,
    placed_rows,
    sites_apart,
)
from medconsist.timeseries.audit.audit import LEAK_FOUND, audit, audit_split
from medconsist.timeseries.audit.copies import copies_across
from medconsist.timeseries.audit.leakage import LeakageSettings, identity_probe, leakage
from medconsist.timeseries.audit.sites import label_by_site, site_from_features
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.fixed import GivenFeatures
from medconsist.timeseries.evaluation.probes import NaiveBayesProbe
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.window_set import WindowSet
from tests.timeseries.evaluation.patients import VALUES, of, simulated, smni

VALUES_AS_THEY_ARE = GivenFeatures("values")
QUICK = LeakageSettings(probe=NaiveBayesProbe(), repeats=1, random_labels=2)


def features_of(windows: WindowSet) -> np.ndarray:
    return VALUES_AS_THEY_ARE.features(windows)


def clean(windows: WindowSet) -> dict[str, np.ndarray]:
    half = len(windows.table.patients) // 2
    inside = windows.table.patient < half
    return {"train": np.flatnonzero(inside), "test": np.flatnonzero(~inside)}


def torn(windows: WindowSet, generator: torch.Generator) -> dict[str, np.ndarray]:
    order = torch.randperm(len(windows), generator=generator).numpy()
    return {"train": order[: len(order) // 2], "test": order[len(order) // 2 :]}


def test_a_clean_split_passes_and_a_torn_one_ends_with_four(generator: torch.Generator) -> None:
    windows = simulated(patients=16, effect=0.5, identity=4.0)
    good = audit(windows, clean(windows), VALUES_AS_THEY_ARE, settings=QUICK)
    assert good.exit_code == 0
    assert "No leak was found." in good.text
    bad = audit(windows, torn(windows, generator), VALUES_AS_THEY_ARE, settings=QUICK)
    assert bad.exit_code == LEAK_FOUND
    assert {one.name for one in bad.leaks} == {"patients"}
    assert "16 of 16 patients in 2 parts are in more than one" in bad.text
    told = audit(
        windows, torn(windows, generator), VALUES_AS_THEY_ARE, settings=QUICK, allow_leak=True
    )
    assert told.exit_code == 0
    assert "LEAK" in told.text
    assert "allowed by the one who ran this" in told.text
    assert told.as_json()["leaks"] == 1


def test_every_round_of_the_evaluator_is_clean() -> None:
    windows = simulated(patients=16)
    for plan in (RoundsPlan(folds=4, validation=0.25), RoundsPlan(kind="pairs")):
        for one in make_rounds(windows.table, plan).rounds[:4]:
            parts = parts_of_round(one, windows.table)
            assert patients_apart(windows.table, parts).passed
            assert sum(map(len, parts.values())) == len(windows)


def test_a_copied_window_is_a_leak_and_a_near_copy_a_warning(generator: torch.Generator) -> None:
    rng = np.random.default_rng(0)
    base = simulated(patients=8)
    signals = rng.standard_normal((len(base), 64, 3)).astype(np.float32)
    parts = clean(of(signals, base.table))
    equal, near = copies_across(of(signals, base.table), parts, generator=generator)
    assert equal.passed
    assert near.passed
    first, second = int(parts["train"][3]), int(parts["test"][5])
    signals[second] = signals[first]
    equal, near = copies_across(of(signals, base.table), parts, generator=generator)
    assert equal.is_leak
    assert near.passed
    assert "patient p00, trial 1 and patient p04, trial 14" in equal.sentence
    # louder, with another offset and a little noise
    signals[second] = 3 * signals[first] + 7 + 0.01 * rng.standard_normal((64, 3))
    equal, near = copies_across(of(signals, base.table), parts, generator=generator)
    assert equal.passed
    assert not near.passed
    assert near.weight == "warning"


@pytest.mark.parametrize("name", ["scaled", "float16", "inverted"])
def test_a_copy_that_was_rescaled_or_rounded_is_a_leak(
    generator: torch.Generator, name: str
) -> None:
    base = simulated(patients=8)
    signals = np.random.default_rng(0).standard_normal((len(base), 64, 3)).astype(np.float32)
    parts = clean(base)
    first, second = signals[parts["train"][3]], signals[parts["test"][5]]
    second[:] = {
        "scaled": 3 * first + np.array([7.0, 0.0, -1.0]),
        "float16": first.astype(np.float16),
        "inverted": -first,
    }[name]
    equal, near = copies_across(of(signals, base.table), parts, generator=generator)
    assert equal.is_leak
    assert equal.numbers["pairs"] == 1
    assert near.passed


def test_copied_rows_of_features_are_a_leak_though_they_are_one_sample(
    generator: torch.Generator,
) -> None:
    windows = simulated(patients=8)
    parts = clean(windows)
    windows.signals[parts["test"][5]] = windows.signals[parts["train"][3]]
    equal, near = copies_across(windows, parts, generator=generator)
    assert equal.is_leak
    assert equal.numbers["flat"] == 0
    assert near.sentence.startswith("Not looked at: windows of fewer than 32 values")


def test_beats_that_are_alike_are_compared_without_listing_all_pairs(
    generator: torch.Generator,
) -> None:
    rng = np.random.default_rng(0)
    base = simulated(patients=40, trials=10)
    beat = np.exp(-((np.linspace(-1, 1, 128) / 0.05) ** 2))
    signals = beat[None, :, None] + 0.1 * rng.standard_normal((len(base), 128, 2))
    suspects = sum(map(len, _suspects_of(of(signals, base.table), generator)))
    assert suspects < 100  # of 160,000 pairs, all of cosine .8 and more
    same = np.broadcast_to(beat[None, :, None], signals.shape) + 1e-2 * signals
    _, near = copies_across(of(same, base.table), clean(base), generator=generator)
    assert near.numbers["pairs"] == 10_000
    assert "10000 or more pairs" in near.sentence


def _suspects_of(windows: WindowSet, generator: torch.Generator) -> Iterator[torch.Tensor]:
    rows, part = placed_rows(clean(windows))
    kind, sketch = copies._sketched(windows, rows, generator)
    return copies._suspects(sketch, part, kind, 0.999)


@pytest.mark.parametrize(
    ("other", "alike"),
    [("P01", True), ("p01 ", True), ("P 1", True), ("P1", True), ("P10", False), ("Q01", False)],
)
def test_an_id_that_is_written_in_two_ways_is_a_leak(other: str, alike: bool) -> None:
    windows = simulated(patients=8)
    named = replace(windows.table, patients=(*windows.table.patients[:-1], other))
    found = names_apart(named, clean(windows))
    assert found.is_leak is alike
    assert (f"'p01' and {other!r}" in found.sentence) is alike


def test_flat_windows_are_no_copies_and_counted(generator: torch.Generator) -> None:
    base = simulated(patients=8)
    signals = np.random.default_rng(0).standard_normal((len(base), 64, 3))
    signals[::5] = 0.0
    equal, near = copies_across(
        of(signals, base.table), clean(of(signals, base.table)), generator=generator
    )
    assert equal.passed
    assert near.passed
    assert equal.numbers["flat"] == len(signals[::5])


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_windows_are_those_of_naive_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 40
    trial = np.sort(rng.integers(0, 4, count))
    table = replace(
        simulated(patients=8).table.take(np.zeros(count, np.int64)),
        trial=trial,
        start=rng.integers(0, 500, count),
    )
    order = rng.permutation(count)
    parts = {"train": order[:25], "test": order[25:]}
    expected = sum(
        trial[i] == trial[j] and abs(table.start[i] - table.start[j]) < 60
        for i in parts["train"]
        for j in parts["test"]
    )
    found = overlaps_across(table, parts, samples=60)
    assert found.numbers["pairs"] == expected
    assert found.is_leak == (expected > 0)


def test_identity_is_told_where_patients_differ_and_not_where_they_do_not(
    generator: torch.Generator,
) -> None:
    for identity, told in ((3.0, True), (0.0, False)):
        windows = simulated(patients=8, trials=12, effect=0.0, identity=identity)
        found = identity_probe(
            features_of(windows), windows.table, generator=generator, probe=NaiveBayesProbe()
        )
        assert found.passed is not told
        assert found.weight == "warning"
    single = simulated(trials=1)
    with pytest.raises(RefusedInputError, match="0 patients with two trials"):
        identity_probe(features_of(single), single.table, generator=generator)


def test_identity_alone_feigns_accuracy_that_is_gone_between_patients(
    generator: torch.Generator,
) -> None:
    windows = simulated(patients=16, trials=12, effect=0.0, identity=3.0)
    found = leakage(features_of(windows), windows.table, generator=generator, settings=QUICK)
    assert found.dependent.accuracy > 0.7
    assert found.random_dependent.accuracy > 0.7
    assert abs(found.random_independent.accuracy - 0.5) < 0.15
    assert found.feigned > 0.1
    assert not found.finding.passed
    none = simulated(patients=16, trials=12, effect=0.0, identity=0.0)
    assert leakage(features_of(none), none.table, generator=generator).finding.passed


def test_sites_are_told_from_features_and_tied_to_labels(generator: torch.Generator) -> None:
    windows = simulated(patients=16, sites=True)
    settings = ProbeSettings(permutations=39)
    plain = site_from_features(
        features_of(windows), windows.table, generator=generator, settings=settings
    )
    assert plain.passed
    site = np.array([name == "site 1" for name in windows.table.sites])
    shifted = features_of(windows)
    shifted[:, 4] += 6 * site[windows.table.patient]
    found = site_from_features(shifted, windows.table, generator=generator, settings=settings)
    assert not found.passed
    assert not found.is_leak
    assert label_by_site(windows.table, generator=generator).passed
    tied = replace(
        windows.table, sites=tuple(f"site {n % 2}" for n in range(len(windows.table.patients)))
    )
    assert not label_by_site(tied, generator=generator).passed
    bare = simulated()
    with pytest.raises(RefusedInputError, match="0 sites have two patients"):
        site_from_features(features_of(bare), bare.table, generator=generator)
    assert not sites_apart(windows.table, clean(windows)).passed
    assert sites_apart(windows.table, clean(windows)).weight == "warning"


def test_one_part_and_features_that_are_not_finite_are_refused() -> None:
    windows = simulated()
    with pytest.raises(RefusedInputError, match="got 1 parts"):
        audit_split(windows, {"train": np.arange(4)})
    signals = windows.signals.copy()
    signals[3, 0, 2] = np.nan
    with pytest.raises(RefusedInputError, match="values: 1 of 48 windows"):
        audit(of(signals, windows.table), clean(windows), VALUES_AS_THEY_ARE)
    assert windows.signals.shape[2] == VALUES


@pytest.mark.data
def test_sixteen_real_patients_show_leaked_and_honest_accuracy(data_dir: Path) -> None:
    windows = smni(data_dir)
    order = np.random.default_rng(0).permutation(len(windows))
    parts = {"train": order[:600], "test": order[600:]}
    settings = LeakageSettings(random_labels=2)
    report = audit(windows, parts, BandPower(), settings=settings)
    assert report.exit_code == LEAK_FOUND
    numbers = {one.name: one.numbers for one in report.findings}
    assert numbers["dependence"]["dependent"] == pytest.approx(0.965, abs=0.01)  # folds drawn anew
    assert numbers["dependence"]["independent"] == pytest.approx(0.66, abs=0.09)  # sd .03
    assert numbers["dependence"]["random_dependent"] > 0.85
    assert numbers["identity"]["accuracy"] == pytest.approx(0.974, abs=0.01)
