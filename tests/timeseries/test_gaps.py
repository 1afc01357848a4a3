"""Gaps are found wherever any channel has one."""

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.gaps import finite_runs, refuse_nan


def test_runs_and_gaps_partition_the_recording() -> None:
    signal = np.zeros((10, 2))
    signal[0, 0] = signal[4:6, 1] = signal[9] = np.nan
    assert finite_runs(signal).tolist() == [[1, 4], [6, 9]]


def test_a_whole_recording_is_one_run_and_an_empty_one_none() -> None:
    assert finite_runs(np.zeros((5, 1))).tolist() == [[0, 5]]
    assert finite_runs(np.full((5, 1), np.inf)).tolist() == []


def test_the_refusal_counts_samples_and_not_values() -> None:
    signal = np.zeros((10, 2))
    signal[3] = np.nan
    with pytest.raises(RefusedInputError, match=r"1 of 10 samples .* sample 3: .* cannot be seen"):
        refuse_nan(signal, doing="be seen")
