"""The share of signals in ``medconsist demo``: a simulated cohort, leaks, COMET, one patient."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medconsist import RESEARCH_USE_ONLY
from medconsist._atomic import make_folder
from medconsist.timeseries.audit.leakage import Leakage, LeakageSettings, leakage
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.manifest import recordings_of_manifest
from medconsist.timeseries.parts import patient_numbers
from medconsist.timeseries.predict import SignalJob
from medconsist.timeseries.predict_many import PredictedSignals, predict_patients
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.prepare import prepare
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared import read_prepared
from medconsist.timeseries.pretrained import Pretraining
from medconsist.timeseries.pretraining import WindowSampling
from medconsist.timeseries.signal_card import SignalCard
from medconsist.timeseries.signal_model import SignalData
from medconsist.timeseries.simulated.cohort import simulate_cohort
from medconsist.timeseries.simulated.files import write_cohort
from medconsist.timeseries.simulated.recipe import CLASSES, CohortRecipe
from medconsist.timeseries.trained import fit_probe
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import generator_for

__all__ = ["DemoSignals", "run_demo"]

STUDY, NEW = "demo-signals", "simulated-new"
RECIPE = CohortRecipe(patients=60, trials=8, windows=1, samples=512, rate=128)
PREPARE = PrepareConfig(rate=128.0, samples=256, classes=CLASSES)
# small enough for the share of a demo; the defaults of `Pretraining` are COMET's
COMET = Pretraining(
    method="comet",
    options={"hidden": 16, "dim": 64, "depth": 7},
    epochs=3,
    lr=1e-3,
    sampling=WindowSampling(batch=32),
)
NOTE = "The model has seen patients of a simulator alone, who are nobody."
_COHORT, _NEW, _LEAKAGE = 0, 1, 2  # places of random numbers


@dataclass(frozen=True)
class DemoSignals:
    """What was seen, trained and predicted.

    Parameters
    ----------
    leaked
        Accuracy with patients on both sides beside that with patients apart.
    card
        Of the model.
    model
        Its folder.
    predicted
        A new patient.

    Examples
    --------
    ::

        run_demo(Path("demo"), device="cpu", seed=0).text
    """

    leaked: Leakage
    card: SignalCard
    model: Path
    predicted: PredictedSignals

    @property
    def text(self) -> str:
        """For people: the leak, the training, the prediction; paths come last."""
        scores = ", ".join(
            f"{name} {value:.3g}" for name, value in sorted(self.card.validation.items())
        )
        return "\n".join(
            [
                RESEARCH_USE_ONLY,
                "",
                self.leaked.sentence,
                f"COMET, taught without labels, and a probe on it: on validation patients, who "
                f"chose its temperature: {scores}.",
                self.predicted.text.removeprefix(f"{RESEARCH_USE_ONLY}\n"),
                str(self.model),
            ]
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "model": str(self.model),
            "validation": dict(self.card.validation),
            "leakage": self.leaked.sentence,
            **self.predicted.as_json(),
            "said": RESEARCH_USE_ONLY,
        }


def run_demo(out: Path, *, device: str, seed: int) -> DemoSignals:
    """Simulate a cohort, show what a leak is worth, pre-train COMET, predict a new patient.

    Parameters
    ----------
    out
        Recordings, windows and the model go to ``out/signals``; the prediction to ``out/results``.
    device, seed
        As in every command.
    """
    folder = out / "signals" / str(seed)  # windows and models are of one seed
    make_folder(folder)
    windows, preparation = _windows(folder, seed=seed)
    leaked = leakage(
        BandPower().features(windows.without_labels()),
        windows.table,
        generator=generator_for(seed, _LEAKAGE),
        settings=LeakageSettings(),
    )
    rounds = make_rounds(windows.table, RoundsPlan(validation=0.5), fingerprint=windows.fingerprint)
    one = rounds.rounds[0]
    train, validation = (
        windows.of_patients(patient_numbers(windows.table, names))
        for names in (one.train, one.validation)
    )
    how = replace(COMET, device="cpu" if device == "cpu" else "cuda")
    encoder = how.run(train, folder / "encoder", resume=True, progress=False, seed=seed)
    data = SignalData(
        train=train,
        validation=validation,
        preparation=preparation,
        study="a simulation of EEG",
        split_sha256=rounds.sha256,
        notes=(NOTE,),
    )
    model = fit_probe(encoder, data, folder / "model", name="comet (demo)", seed=seed)
    job = SignalJob(
        out=out / "results",
        paths=_new_recordings(folder, seed=seed),
        card=model.card,
        study=STUDY,
        patient=NEW,
        seed=seed,
    )
    return DemoSignals(leaked, model.card, folder / "model", predict_patients([job], model))


def _windows(folder: Path, *, seed: int) -> tuple[WindowSet, Preparation]:
    cohort = simulate_cohort(RECIPE, generator=generator_for(seed, _COHORT))
    manifest = write_cohort(cohort, folder / "recordings")
    record = prepare(recordings_of_manifest(manifest), folder / "windows", config=PREPARE)
    return read_prepared(folder / "windows"), Preparation.of(record.facts)


def _new_recordings(folder: Path, *, seed: int) -> tuple[Path, ...]:
    """Write the recordings of a patient that nothing has seen; ids of a cohort begin anew."""
    cohort = simulate_cohort(replace(RECIPE, patients=2), generator=generator_for(seed, _NEW))
    write_cohort(cohort, folder / "new")
    return tuple(sorted((folder / "new").glob(f"{cohort.windows.table.patients[0]}-*.h5")))
