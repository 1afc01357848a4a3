"""A cohort of this simulator: what is shared by a patient's recordings is decided, and known."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64

from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.simulated import ecg, eeg
from medconsist.timeseries.simulated.noise import numpy_generators
from medconsist.timeseries.simulated.recipe import CLASSES, COMPONENT, CohortRecipe
from medconsist.timeseries.simulated.truth import Truth
from medconsist.timeseries.window_set import WindowSet, WindowTable

__all__ = ["SimulatedCohort", "fingerprint", "simulate_cohort"]

_TRAITS = len(ecg.TRAITS)


@dataclass(frozen=True, eq=False)
class SimulatedCohort:
    """Windows with labels, and beside them what no training may see.

    Parameters
    ----------
    recipe
        What was simulated.
    windows
        Of all patients, patient by patient, recording by recording.
    truth
        Components, traits and the best score.

    Examples
    --------
    >>> cohort = simulate_cohort(CohortRecipe(patients=4, trials=2), generator=torch.Generator())
    >>> len(cohort.windows), cohort.recordings()[1].info.patient
    (8, 'simulated-000')
    """

    recipe: CohortRecipe
    windows: WindowSet
    truth: Truth

    def recordings(self) -> tuple[InMemoryRecording, ...]:
        """Return whole recordings, of which the windows are parts; nothing is copied."""
        recipe, table = self.recipe, self.windows.table
        whole = self.windows.signals.reshape(-1, recipe.windows * recipe.samples, len(recipe.names))
        labels = table.patient_labels
        return tuple(
            InMemoryRecording(
                RecordingInfo(
                    rate=float(recipe.rate),
                    channels=recipe.names,
                    units=(recipe.unit,) * len(recipe.names),
                    samples=whole.shape[1],
                    patient=table.patients[number // recipe.trials],
                    trial=f"trial-{number % recipe.trials:02}",
                    diagnoses=(CLASSES[labels[number // recipe.trials]],),
                    source=f"simulated {recipe.modality.upper()}",
                    notes=("Of a simulator, of no patient.",),
                ),
                whole[number],
            )
            for number in range(len(whole))
        )


def simulate_cohort(recipe: CohortRecipe, *, generator: torch.Generator) -> SimulatedCohort:
    """Return one cohort; patients come in random order, so the first of them are a random part.

    Signals are made whole recording by recording, the component passing from one window to the
    next at their border; then cut.

    Raises
    ------
    RefusedInputError
        A channel that the modality has not.
    """
    who, traits_rng, component_rng, signal_rng = numpy_generators(generator, 4)
    label, site = _labels(recipe, who)
    traits = _traits(recipe, traits_rng, site)
    component, present = _component(recipe, component_rng, label)
    gain = np.exp(COMPONENT * component).reshape(-1, recipe.windows)
    over_time = np.repeat(gain, recipe.samples, axis=1)
    make = _ecg if recipe.modality == "ecg" else _eeg
    whole = make(recipe, signal_rng, traits.reshape(-1, _TRAITS), over_time).astype(np.float32)
    windows = WindowSet(
        whole.reshape(-1, recipe.samples, len(recipe.names)),
        _table(recipe, label, site),
        rate=float(recipe.rate),
        channels=recipe.names,
        units=(recipe.unit,) * len(recipe.names),
    )
    truth = Truth(
        label=label,
        component=component,
        present=present,
        traits=traits,
        effects=recipe.effects,
        rates=(0, 1) if recipe.world == "shared" else recipe.rates,
        by_trial=recipe.world == "by_trial",
    )
    return SimulatedCohort(recipe, windows, truth)


def fingerprint(cohort: SimulatedCohort) -> str:
    """Return the sha256 of samples, truth and table.

    Numbers are rounded to 2**-10 of their unit, so that another library of linear algebra, which
    differs in the last bits, gives the same digest but for one chance in a thousand.
    """
    table, truth = cohort.windows.table, cohort.truth
    digest = hashlib.sha256("\0".join((*table.patients, *map(str, table.sites))).encode())
    for numbers in (cohort.windows.signals, truth.component, truth.traits):
        digest.update(np.rint(numbers.astype(np.float64) * 1024).astype("<i8").tobytes())
    for column in (table.patient, table.trial, table.start, table.label, truth.present):
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()


def _labels(
    recipe: CohortRecipe, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, " patients"], Int64[np.ndarray, " patients"]]:
    """Return the class and the site of each patient, in random order."""
    sites = recipe.sites
    site = rng.permutation(recipe.patients) % sites.count
    label = np.zeros(recipe.patients, np.int64)
    for number in range(sites.count):
        here = rng.permutation(np.flatnonzero(site == number))
        share = (1 + (-1) ** number * sites.label_association) / 2
        # an odd patient out goes to one side or the other by chance, or all sites would lean
        label[here[: int(share * len(here) + rng.random())]] = 1
    return label, site


def _traits(
    recipe: CohortRecipe, rng: np.random.Generator, site: Int64[np.ndarray, " patients"]
) -> Float[np.ndarray, "patients trials 8"]:
    effects = recipe.effects
    patient = effects.subject * rng.normal(size=(recipe.patients, 1, _TRAITS))
    session = effects.session * rng.normal(size=(recipe.patients, recipe.trials, _TRAITS))
    direction = rng.normal(size=(recipe.sites.count, _TRAITS))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return patient + session + recipe.sites.shift * direction[site][:, None]


def _component(
    recipe: CohortRecipe, rng: np.random.Generator, label: Int64[np.ndarray, " patients"]
) -> tuple[Float[np.ndarray, "patients trials windows"], np.ndarray]:
    """Return the component of each window, and where the class effect is in it."""
    effects, size = recipe.effects, (recipe.patients, recipe.trials, recipe.windows)
    patient = effects.component * rng.normal(size=(size[0], 1, 1))
    session = effects.session * rng.normal(size=(*size[:2], 1))
    window = effects.window * rng.normal(size=size)
    by_window = rng.random(size=size)
    chance = by_window[:, :, :1] if recipe.world == "by_trial" else by_window
    rates = (0, 1) if recipe.world == "shared" else recipe.rates
    present = np.broadcast_to(chance < np.array(rates)[label][:, None, None], size)
    return patient + session + window + effects.shift * present, present.copy()


def _ecg(
    recipe: CohortRecipe,
    rng: np.random.Generator,
    traits: Float[np.ndarray, "recordings 8"],
    gain: Float[np.ndarray, "recordings time"],
) -> Float[np.ndarray, "recordings time channels"]:
    shape = ecg.EcgShape.of(traits)
    phase = ecg.heart_phase(rng, shape, samples=gain.shape[1], rate=recipe.rate)
    heart = ecg.dipole(phase, shape, t_wave=gain)
    return ecg.ecg_leads(rng, heart, leads=recipe.names, rate=recipe.rate, noise=recipe.ecg_noise)


def _eeg(
    recipe: CohortRecipe,
    rng: np.random.Generator,
    traits: Float[np.ndarray, "recordings 8"],
    gain: Float[np.ndarray, "recordings time"],
) -> Float[np.ndarray, "recordings time channels"]:
    shape = eeg.EegShape.of(traits)
    return eeg.eeg_channels(
        rng, shape, gain, channels=recipe.names, rate=recipe.rate, noise=recipe.eeg_noise
    )


def _table(
    recipe: CohortRecipe, label: Int64[np.ndarray, " patients"], site: Sequence[int] | np.ndarray
) -> WindowTable:
    per_patient = recipe.trials * recipe.windows
    patient = np.repeat(np.arange(recipe.patients), per_patient)
    return WindowTable(
        patient=patient,
        trial=np.repeat(np.arange(recipe.patients * recipe.trials), recipe.windows),
        start=np.tile(recipe.samples * np.arange(recipe.windows), recipe.patients * recipe.trials),
        label=label[patient],
        patients=tuple(f"simulated-{number:03}" for number in range(recipe.patients)),
        classes=CLASSES,
        sites=tuple(f"site-{number}" for number in site),
    )
