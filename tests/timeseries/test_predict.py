"""Files in, a result folder out: what is said, what is withheld; a rerun computes nothing."""

import csv
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import torch

from medconsist.batch.inline import InlineEngine
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal_sets import ConformalSets
from medconsist.results.store import ResultStore
from medconsist.timeseries.batch import SignalPredictWork, signal_cases
from medconsist.timeseries.case_windows import case_windows
from medconsist.timeseries.labelled import LabelledRecording
from medconsist.timeseries.predict import KIND, SignalJob, predict_patient
from medconsist.timeseries.predict_many import jobs_by_patient, predict_patients
from medconsist.timeseries.prepare import prepare
from medconsist.timeseries.signal_answer import answer_for
from medconsist.timeseries.signal_card import prepared_for
from medconsist.timeseries.signal_model import SignalModel, load_signal_model
from medconsist.timeseries.trained import fit_probe
from tests.timeseries.small_signals import (
    SETTINGS,
    changed,
    new_recording,
    small_cohort,
    small_comet,
    small_data,
    write_wfdb,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("predict") / "model"
    fit_probe(small_comet(), small_data(small_cohort()), out, name="comet")
    return out


@pytest.fixture(scope="module")
def model(folder: Path) -> SignalModel:
    return load_signal_model(folder)


def job(tmp_path: Path, model: SignalModel, **more: Any) -> SignalJob:
    paths = [write_wfdb(new_recording(seed=s), tmp_path / "in", f"r{s}") for s in (50, 51, 52)]
    made = SignalJob(out=tmp_path / "out", paths=tuple(paths), card=model.card, patient="new")
    return replace(made, **more)


def with_sets(model: SignalModel, *limits: float | None) -> SignalModel:
    sets = ConformalSets(
        limits=limits,
        alpha=0.1,
        n=(10, 10),
        by_class=False,
        calibrated_on="validation",
        unit_of_analysis="patient",
    )
    return replace(model, card=model.card.model_copy(update={"sets": sets}))


def answer(model: SignalModel, *, patient: str = "new", fault: Any = None) -> Any:
    recordings = [new_recording(seed=s, patient=patient) for s in (50, 51, 52)]
    if fault is not None:
        recordings = [changed(one, fault(one.read())) for one in recordings]
    case = case_windows(recordings, model.card.preparation)
    return answer_for(model, case, generator=torch.Generator().manual_seed(0))


def test_a_case_from_files_to_its_result(tmp_path: Path, model: SignalModel) -> None:
    asked = job(tmp_path, model)
    done = predict_patient(asked, model)
    result = done.stored.result
    assert (result.kind, result.patient, result.case) == (KIND, "new", "new")
    assert ResultStore(asked.out, "signals").verify("new", result.key) == []
    said = {metric.name: metric.value for metric in result.metrics}
    assert said["probability of case"] > 0.5
    assert said["probability of case"] + said["probability of control"] == pytest.approx(1)
    (over,) = [m for m in result.metrics if m.name.startswith("over this patient's trials")]
    assert over.ci_low is not None
    assert (over.n, over.unit_of_analysis) == (3, "trial")
    assert {score.name for score in result.trust.scores} == {
        "half_gap",
        "distance_percentile",
        "unusable",
        "attribution_agreement",
        "withheld_leads",
        "withheld_lead_worst",
    }
    text = " ".join(result.notes)
    assert "Model comet (probe), trained on 18 patients of simulated ECG." in text
    assert "12 windows of 3 trials in 3 recordings" in text
    assert "not how sure the model is" in text


def test_arrays_are_what_the_viewer_needs(tmp_path: Path, model: SignalModel) -> None:
    stored = predict_patient(job(tmp_path, model), model).stored
    trace = stored.record("signal_1")
    assert (trace.unit, trace.dtype, trace.axes) == ("mV", "float32", ("time", "channels"))
    assert trace.place is not None
    assert trace.place.scale == (0.01,)
    assert "I, II, V2" in trace.description
    np.testing.assert_allclose(
        stored.array("signal_1"),
        new_recording(seed=51).read(),
        atol=1e-3,  # 16 bits in the file
    )
    assert stored.array("window_start").tolist() == [0.0, 1.0, 2.0, 3.0] * 3
    assert stored.array("window_recording").tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert stored.array("attention").sum() == pytest.approx(12)
    assert stored.array("window_probability").sum(1) == pytest.approx(1)
    assert stored.array("neighbour_row").shape == (3, 5)


def test_probability_of_the_result_is_that_of_the_model(tmp_path: Path, model: SignalModel) -> None:
    asked = job(tmp_path, model)
    windows = case_windows(asked.recordings, model.card.preparation).windows
    expected = model.probabilities(model.network.evidence(windows))[0]
    result = predict_patient(asked, model).stored.result
    found = [m.value for m in result.metrics if m.unit_of_analysis == "patient"]
    assert found == pytest.approx(expected.tolist())


def test_a_rerun_computes_nothing_and_another_card_does(tmp_path: Path, model: SignalModel) -> None:
    asked = job(tmp_path, model)
    assert predict_patient(asked, model).fresh
    assert not predict_patient(job(tmp_path, model), model).fresh
    other = with_sets(model, 0.3, 0.3)
    assert predict_patient(replace(asked, card=other.card), other).fresh
    with pytest.raises(RefusedInputError, match="names another model than the one that is asked"):
        predict_patient(asked, other)


def test_a_file_that_may_name_a_patient_is_found_again_as_it_was(
    tmp_path: Path, model: SignalModel
) -> None:
    path = tmp_path / "a.edf"
    signals = [
        edfio.EdfSignal(lead, 100, label=name, physical_dimension="mV", physical_range=(-40, 40))
        for name, lead in zip(("I", "II", "V2"), new_recording().read().T, strict=True)
    ]
    edfio.Edf(signals, patient=edfio.Patient(code="HOSPITAL-1")).write(path)
    asked = job(tmp_path, model)
    asked = replace(asked, paths=(asked.paths[0], path))
    result = predict_patient(asked, model).stored.result
    assert "HOSPITAL-1" not in result.model_dump_json()
    places = ResultStore(tmp_path / "out", "signals").inputs
    assert places.find(result.inputs["recording_1"]) == path
    assert places.find(result.inputs["recording_0"]) is None  # WFDB names nobody
    path.write_bytes(path.read_bytes().replace(b"HOSPITAL-1", b"HOSPITAL-2"))
    assert places.find(result.inputs["recording_1"]) is None


def test_the_same_patient_is_never_a_neighbour(model: SignalModel) -> None:
    for patient in ("new", "simulated-003"):
        found = answer(model, patient=patient)
        assert len(found.closest(50)) >= 5
        assert patient not in {one.patient for near in found.neighbours for one in near}


def test_a_patient_of_training_is_named_as_one(tmp_path: Path, model: SignalModel) -> None:
    done = predict_patient(job(tmp_path, model, patient="simulated-003"), model)
    assert any("was among the training patients" in note for note in done.stored.result.notes)


def test_one_class_that_remains_can_be_assessed(model: SignalModel) -> None:
    found = answer(with_sets(model, 0.5, 0.5))
    assert (found.classes, found.reasons) == ((1,), ())
    assert found.can_assess


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ((1.0, 1.0), "control and case remain possible (calibrated on 20 patients)"),
        ((0.0, 0.0), "No class fits"),
        ((None, None), "more are needed to rule out a class"),
    ],
    ids=["both", "none", "too few"],
)
def test_undecided_sets_cannot_be_assessed(
    model: SignalModel, limits: tuple[float | None, ...], sentence: str
) -> None:
    (reason,) = answer(with_sets(model, *limits)).reasons
    assert sentence in reason


def test_poor_signals_and_strange_ones_cannot_be_assessed(model: SignalModel) -> None:
    fair = with_sets(model, 0.99, 0.99)
    clipped = " ".join(answer(fair, fault=lambda s: np.clip(s, -0.02, 0.02)).reasons)
    assert "Signal quality is poor" in clipped
    strange = " ".join(answer(fair, fault=lambda s: 20 * s).reasons)
    assert "Unlike anything in training" in strange
    assert "Unlike" not in " ".join(answer(fair).reasons)


def test_attribution_is_that_of_the_answer(model: SignalModel) -> None:
    found = answer(model)
    assert found.attribution.attention.sum() == pytest.approx(12)
    assert found.interval.mean == pytest.approx(found.probabilities[1])
    assert set(found.attribution.deletion) == {"attention", "occlusion"}


def test_history_judges_a_score_beside_earlier_cases(tmp_path: Path, model: SignalModel) -> None:
    asked = job(tmp_path, model)
    first = predict_patient(asked, model).stored.result
    assert {score.state for score in first.trust.scores} == {"no_history"}
    history = ResultStore(asked.out, "signals").history
    (line,) = history.read().lines
    for number in range(19):
        history.append(line.model_copy(update={"case": f"earlier-{number}"}))
    scores = predict_patient(replace(asked, case="next"), model).stored.result.trust.scores
    assert {score.state for score in scores} == {"within"}


def test_swapped_electrodes_leave_more_of_the_worst_lead(model: SignalModel) -> None:
    def swapped(signal: np.ndarray) -> np.ndarray:
        return np.stack([-signal[:, 0], signal[:, 1] - signal[:, 0], signal[:, 2]], axis=1)

    clean, wrong = answer(model).scores, answer(model, fault=swapped).scores
    assert 0 < clean["withheld_leads"] < 1
    assert wrong["withheld_lead_worst"] > 2 * clean["withheld_lead_worst"]


def test_a_table_holds_a_row_for_each_window(tmp_path: Path, model: SignalModel) -> None:
    asked = job(tmp_path, model)
    done = predict_patients([asked], model, table=tmp_path / "tables")
    assert done.exit_code == 0
    with (tmp_path / "tables" / "new.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert (rows[5]["recording"], rows[5]["start_s"], rows[5]["end_s"]) == ("1", "1.0", "2.0")
    stored = done.outcomes[0].stored
    assert [float(r["occlusion"]) for r in rows] == stored.array("occlusion").tolist()
    assert "new: probability of control" in done.text
    assert done.as_json()["predicted"][0]["case"] == "new"


def test_the_summary_tells_of_an_alarm_of_the_history(tmp_path: Path, model: SignalModel) -> None:
    asked = job(tmp_path, model)
    first = predict_patients([asked], model)
    assert (first.alarms, "History" in first.text) == ((), False)
    history = ResultStore(asked.out, "signals").history
    (line,) = history.read().lines
    draw = np.random.default_rng(0)
    for number in range(60):
        share = float(draw.uniform(5, 6) if number >= 40 else draw.uniform(0.1, 0.2))
        scores = {**line.scores, "withheld_lead_worst": share}
        history.append(line.model_copy(update={"case": f"other-{number}", "scores": scores}))
    again = predict_patients([asked], model)
    assert "History: withheld_lead_worst: alarm at other-4" in again.text
    assert len(again.alarms) == 2
    assert again.as_json()["alarms"] == list(again.alarms)


def test_a_refused_patient_keeps_none_of_the_others(tmp_path: Path, model: SignalModel) -> None:
    good = job(tmp_path, model)
    slow = changed(new_recording(), new_recording().read(), rate=50.0)
    bad = SignalJob(
        out=good.out, paths=(write_wfdb(slow, tmp_path / "in", "slow"),), card=model.card
    )
    done = predict_patients([bad, good], model)
    assert done.exit_code == 3
    assert [one.case for one in done.refused] == ["slow.hea"]
    assert "50 Hz are below the 100 Hz of the model" in done.text
    assert len(done.outcomes) == 1
    assert ResultStore(good.out, "signals").cases() == ["new"]


def test_files_are_told_apart_by_their_patients(tmp_path: Path, model: SignalModel) -> None:
    template = job(tmp_path, model)
    jobs = jobs_by_patient(template.paths, template)
    assert [one.name for one in jobs] == ["r50", "r51", "r52"]
    assert all(len(one.paths) == 1 for one in jobs)


def test_a_case_belongs_to_one_patient(tmp_path: Path, model: SignalModel) -> None:
    predict_patient(job(tmp_path, model, case="c1"), model)
    with pytest.raises(RefusedInputError, match="belongs to patient new"):
        predict_patient(job(tmp_path, model, case="c1", patient="other"), model)


def test_a_batch_gives_what_single_runs_give(
    tmp_path: Path, folder: Path, model: SignalModel
) -> None:
    template = job(tmp_path, model)
    jobs = jobs_by_patient(template.paths, template)
    work = pickle.loads(pickle.dumps(SignalPredictWork.of(jobs[0], model=folder)))  # noqa: S301  ours
    report = run_batch(
        work,
        signal_cases(jobs),
        engine=InlineEngine(),
        folder=batch_folder(template.out, "signals"),
    )
    assert report is not None
    store = ResultStore(template.out, "signals")
    assert [store.current(one.name) for one in jobs] == [one.key for one in jobs]
    assert [work.find(case) for case in signal_cases(jobs)] == [one.key for one in jobs]
    assert not any(predict_patient(one, model).fresh for one in jobs)


def test_windows_of_another_preparation_are_refused(tmp_path: Path, model: SignalModel) -> None:
    recordings = [
        LabelledRecording(
            patient=f"p{s}", trial="t", label="case", recording=new_recording(seed=s, patient="x")
        )
        for s in (50, 51)
    ]
    prepare(recordings, tmp_path / "same", config=SETTINGS)
    assert len(prepared_for(model.card, tmp_path / "same")) == 8
    prepare(recordings, tmp_path / "other", config=replace(SETTINGS, normalise="trial"))
    with pytest.raises(RefusedInputError, match="prepared otherwise than those of the model: "):
        prepared_for(model.card, tmp_path / "other")
    case = case_windows([new_recording()], model.card.preparation)
    wrong = replace(case, windows=small_cohort(patients=2).windows.take(np.arange(1)))
    assert answer_for(model, wrong, generator=torch.Generator()) is not None
    wrong.windows.channels = ("I", "II", "V6")
    with pytest.raises(RefusedInputError, match="channels is"):
        answer_for(model, wrong, generator=torch.Generator())
