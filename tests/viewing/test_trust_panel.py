"""The trust panel says what was measured and no more, and is never pleased without calibration."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from medconsist.results.methods import SHOWN_FIRST
from medconsist.results.schema import ArrayRecord, Metric, ModelRecord, Result, Times
from medconsist.results.trust import Score, TrustRecord
from medconsist.timeseries.readers.lead_checks import LeadReport
from medconsist.viewing.alarm_list import ALARMS
from medconsist.viewing.alarm_raised import raised_alarms
from medconsist.viewing.alarm_rates import NOT_MEASURED, measured_rates, rates_of
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.trust_panel import (
    SEALED,
    AlarmLine,
    TrustPanel,
    sealed_trust_panel,
    trust_panel,
)
from medconsist.viewing.trust_panel_history import SiteHistory
from medconsist.viewing.trust_panel_html import trust_panel_html
from medconsist.wsi.task import RANDOM_NOTE
from medconsist.wsi.tissue.stain import StainEvidence, check_stain

WHEN = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\u202e\x00\"'&"
PRAISE = ("green", "normal", "good", "safe", "passed", "ok", "healthy")


def score(name: str = "residual", **facts: Any) -> Score:
    settings = {"value": 0.8, "unit": "sigma^2", "n": 9, "meaning": "Fit to the samples."}
    return Score(**{"name": name, **settings, **facts})


def judged(name: str = "residual", *, state: str = "within", **facts: Any) -> Score:
    p = 0.04 if state == "outside" else 0.5
    known = {"state": state, "p": p, "n_history": 40, "calibration_id": "ab" * 32}
    return score(name, **(known | facts))


def result(*scores: Score, **facts: Any) -> Result:
    settings: dict[str, Any] = {
        "kind": "mri.reconstruction",
        "study": "brain",
        "case": "scan-1",
        "patient": "p-7",
        "inputs": {"kspace": "cd" * 32},
        "config": {"method": "cs"},
        "result_version": 1,
        "times": Times(started=WHEN, finished=WHEN),
        "trust": TrustRecord(scores=scores),
        "arrays": (picture(),),
    }
    return Result(**settings | facts)


def picture(**facts: Any) -> ArrayRecord:
    upright = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
    places = {"orientation": upright, "spacing_mm": (1.0, 1.0)}
    known = {"role": "reconstruction", "path": "reconstruction.zarr", "kind": "zarr"}
    shape = {"axes": ("height", "width"), "shape": (2, 3), "dtype": "float32", "sha256": "0" * 64}
    return ArrayRecord(**{**known, **shape, **places, **facts})


def named(panel: TrustPanel) -> list[str]:
    return [line.alarm.name for line in panel.raised]


class Page(HTMLParser):
    """Which tags, attributes and words a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: set[str] = set()
        self.open: list[str] = []
        self.words = ""
        self.folds: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.tags[-1:] == ["details"]:
            assert tag == "summary", "a fold without a name"
            self.folds.append("")
        self.tags.append(tag)
        self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert (tag, name) != ("details", "open"), "a fold that is open by itself"
            if name == "class":
                self.classes |= set((value or "").split())

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f"{data} "
        if "summary" in self.open:
            self.folds[-1] += data

    def is_said_in_order(self, *parts: str) -> bool:
        """Say whether each part stands behind the one before."""
        rest = self.words
        for part in parts:
            _, found, rest = rest.partition(part)
            if not found:
                return False
        return True


def page(panel: TrustPanel) -> Page:
    read = Page(trust_panel_html(panel))
    assert not read.open
    return read


def test_without_a_history_the_tone_is_neutral_and_says_so() -> None:
    panel = trust_panel(result(score()))
    assert panel.tone == "neutral"
    assert panel.scores[0].place == "no history: fewer than 20 cases (0 earlier ones)"
    assert "no_history" in named(panel)


@pytest.mark.parametrize(
    "scores",
    [
        (),
        (score(),),
        (judged(), score("novelty")),
        (judged(calibration_id=None),),
    ],
    ids=["no score", "no history", "one of two", "no digest of the calibration"],
)
def test_nothing_is_within_without_calibration_of_every_score(scores: Sequence[Score]) -> None:
    assert trust_panel(result(*scores)).tone == "neutral"


def test_within_needs_every_score_judged_and_never_has_a_colour_of_its_own() -> None:
    panel = trust_panel(result(judged(), judged("novelty")))
    assert panel.tone == "within"
    assert "nothing of whether the result is right" in panel.headline
    colours = {name for name in page(panel).classes if name in ("mc-block", "mc-advise")}
    assert not colours


def test_no_panel_praises_a_result() -> None:
    for panel in (trust_panel(result(judged())), trust_panel(result(score()))):
        words = page(panel).words.lower().replace("not seen", "")
        found = {word.strip(".,;:()") for word in words.split()} & set(PRAISE)
        assert not found


def test_one_score_outside_is_said_above_the_numbers() -> None:
    panel = trust_panel(result(judged(), judged("novelty", state="outside")))
    assert panel.tone == "advise"
    assert named(panel)[0] == "score_outside"
    text = trust_panel_html(panel)
    assert text.index("Outside the history") < text.index("What measurement says")
    assert "mc-advise" in page(panel).classes


def test_the_rank_is_that_among_the_earlier_cases() -> None:
    earlier = SiteHistory({"residual": tuple(i / 40 for i in range(40))}, "40 earlier cases.")
    line = trust_panel(result(judged(value=0.5)), history=earlier).scores[0]
    assert line.place == "rank 21 to 22 of 41 from the lowest (percentile 51 of 40 earlier cases)"
    assert "40 earlier cases." in page(trust_panel(result(judged()), history=earlier)).words


def test_a_history_that_has_lost_cases_is_noticed() -> None:
    shorter = SiteHistory({"residual": (0.1,) * 30})
    line = trust_panel(result(judged()), history=shorter).scores[0]
    assert "10 of the cases that it was judged by are not there now" in line.place


def test_unreadable_bytes_block() -> None:
    panel = trust_panel(result(judged()), unreadable=("reconstruction is not as it was written",))
    assert (panel.tone, named(panel)[0]) == ("block", "stored_bytes")
    assert "reconstruction is not as it was written" in page(panel).words


def test_every_alarm_of_a_note_is_raised_by_the_note_of_its_task() -> None:
    shares = {f"{name}_share": 0.2 for name in ("dark", "glass", "pink", "brown", "blue")}
    stain = StainEvidence(kind="ihc", reason="brown", n_pixels=9, **shares)
    notes = {
        "cannot_assess": ("timeseries.prediction", "Cannot assess: two classes stay possible."),
        "network_behind": ("mri.reconstruction", f"{SHOWN_FIRST} compressed sensing. On ..."),
        "own_patient": ("timeseries.prediction", "Patient p was among the training patients: ..."),
        "kept_start": ("mri.reconstruction", "Zero-shot: 5 ...; the network was left as it was."),
        "random_weights": ("wsi.features", RANDOM_NOTE),
        "other_stain": ("wsi.features", check_stain(stain, made_for=("he",), policy="flag")[0]),
        "not_assessed": ("wsi.features", "Not assessed: fold, no tiles."),
        "other_engine": ("wsi.features", "read by OpenSlide: a pixel differs"),
        "swapped_arms": ("timeseries.prediction", LeadReport(lateral_correlation=-0.9).notes[0]),
    }
    for name, (kind, note) in notes.items():
        found = trust_panel(result(score(), kind=kind, notes=(note,)))
        assert name in named(found), name
        assert note in [reason for line in found.raised for reason in line.reasons]


def test_a_flag_of_a_speck_is_no_alarm() -> None:
    tissue = score("tissue_area", value=10.0, unit="mm^2")
    speck, stroke = (score("pen_share", value=share, unit="1") for share in (0.0019, 0.0021))
    assert "artefact" not in raised_alarms(result(tissue, speck, kind="wsi.features"))
    assert "artefact" in raised_alarms(result(tissue, stroke, kind="wsi.features"))


def test_a_network_that_is_shown_first_raises_nothing() -> None:
    first = f"{SHOWN_FIRST} cirim. On the same withheld samples the error of cirim is not above."
    assert "network_behind" not in raised_alarms(result(notes=(first,)))


def test_what_is_unknown_of_the_data_is_said() -> None:
    blind = result(arrays=(picture(orientation=None, spacing_mm=None),))
    assert {"orientation_unknown", "spacing_unknown"} <= set(named(trust_panel(blind)))
    assert not {"orientation_unknown", "spacing_unknown"} & set(named(trust_panel(result())))
    trace = picture(
        role="signal_1", path="s", axes=("time", "channels"), spacing_mm=None, unit=None
    )
    signal = result(kind="timeseries.prediction", arrays=(trace,))
    assert "voltage_unknown" in named(trust_panel(signal))


def test_weights_without_a_card_are_named_so() -> None:
    bare = ModelRecord(name="mine", sha256="ee" * 32)
    panel = trust_panel(result(model=bare))
    assert "no_card" in named(panel)
    assert ("Training cohort", "unknown: the result does not say") in panel.model


def test_the_shipped_card_is_quoted_for_its_own_weights_alone() -> None:
    ours = "60595ccaf1b5ae76fad32afd77ebf3f41983254787228796adfc93bffa73479a"
    card = {"name": "cirim", "card": "cirim.md", "trained_on": "simulation"}
    rows = dict(trust_panel(result(model=ModelRecord(sha256=ours, **card))).model)
    assert rows["Training cohort"].startswith("120 simulated scans")
    assert rows["Label"] == "simulation-trained"
    assert rows["sha256 of the weights"] == ours
    other = dict(trust_panel(result(model=ModelRecord(sha256="0" * 64, **card))).model)
    assert other["Training cohort"].startswith("unknown")


@pytest.mark.parametrize("card", ["../weights/cirim.md", "/etc/passwd", "card.json", "no.md"])
def test_the_name_of_a_card_reads_no_other_file(card: str) -> None:
    model = ModelRecord(name="m", sha256="0" * 64, card=card)
    assert dict(trust_panel(result(model=model)).model)["Training cohort"].startswith("unknown")


def test_the_cohort_of_a_trained_model_is_that_of_its_note() -> None:
    note = "Model abmil, trained on 120 cases of lymph."
    model = ModelRecord(name="abmil", sha256="0" * 64, card="card.json")
    panel = trust_panel(result(kind="wsi.prediction", model=model, notes=(note,)))
    assert ("Training cohort", "120 cases of lymph") in panel.model


def test_the_hashes_of_inputs_result_and_weights_are_on_the_panel() -> None:
    one = result(model=ModelRecord(name="m", sha256="ee" * 32, card="card.json"))
    words = page(trust_panel(one)).words
    for digest in (*one.inputs.values(), "ee" * 32, one.content_sha256, one.key):
        assert digest in words


def test_an_alarm_that_nobody_measured_says_so() -> None:
    for alarm in ALARMS:
        line = AlarmLine(alarm=alarm, rates=rates_of(alarm.name))
        assert (line.measured == NOT_MEASURED) == (not line.rates)
        assert alarm.rows or not line.rates
    elsewhere = result(kind="wsi.features", model=ModelRecord(name="mine", sha256="ee" * 32))
    assert not rates_of("no_card", kind="wsi.features")
    assert NOT_MEASURED in page(trust_panel(elsewhere)).words


def test_a_rate_of_the_panel_is_one_of_the_file_with_n_interval_and_command() -> None:
    inked = score("pen_share", unit="1", value=0.1)
    panel = trust_panel(result(inked, kind="wsi.features"))
    line = next(line for line in panel.raised if line.alarm.name == "artefact")
    assert {(rate.rate, rate.score) for rate in line.rates} == {
        ("false", "pen_share"),
        ("true", "pen_share"),
    }
    words = page(panel).words
    for rate in line.rates:
        assert rate in measured_rates().rates
        assert rate.words in words
        assert rate.command in words


def test_a_score_without_measured_rates_is_named_beside_those_that_have_some() -> None:
    panel = trust_panel(result(judged("residual"), judged("residual_coil_0", state="outside")))
    line = panel.raised[0]
    assert {rate.score for rate in line.rates} == {"residual"}
    assert line.unmeasured == ("residual_coil_0",)
    assert "Rates not measured for: Residual against expectation, coil 0." in page(panel).words


def test_the_alarms_of_another_domain_are_not_listed() -> None:
    listed = {line.alarm.name for line in trust_panel(result()).alarms}
    assert {"network_behind", "score_outside"} <= listed
    assert not {"artefact", "voltage_unknown", "leak"} & listed


def test_hostile_text_stays_text() -> None:
    hostile = result(
        judged(HOSTILE, meaning=HOSTILE, unit=HOSTILE),
        notes=(f"Cannot assess: {HOSTILE}",),
        config={"x": HOSTILE},
        model=ModelRecord(name=HOSTILE, sha256="0" * 64, card=HOSTILE, trained_on=HOSTILE),
    )
    panel = trust_panel(
        hostile, history=SiteHistory(words=HOSTILE), stream=(HOSTILE,), unreadable=(HOSTILE,)
    )
    read = page(panel)
    assert "script" not in read.tags
    assert "\u202e" not in read.words
    assert "\x00" not in read.words
    assert "<script>alert(1)</script>" in read.words  # shown as the text that it is


def test_every_panel_carries_the_notice() -> None:
    for panel in (trust_panel(result()), sealed_trust_panel(result())):
        assert NOTICE in page(panel).words


def test_the_sealed_panel_holds_nothing_of_the_model() -> None:
    secret = result(
        judged("novelty", state="outside", value=7.125, meaning="SECRET"),
        kind="timeseries.prediction",
        model=ModelRecord(name="SECRET", sha256="ee" * 32, trained_on="SECRET"),
        notes=("Cannot assess: SECRET", "Model SECRET, trained on SECRET."),
        config={"encoder": "SECRET"},
        arrays=(picture(axes=("time", "channels"), unit=None),),
    )
    panel = sealed_trust_panel(secret)
    words = page(panel).words
    assert SEALED in words
    for hidden in ("SECRET", "ee" * 32, "7.125", secret.key, "Outside the history"):
        assert hidden not in words
    assert not panel.scores + panel.model
    assert panel.claim is None
    for part in ("What the model says", "Image shown first", "measurement says"):
        assert part not in words
    assert (panel.tone, panel.is_sealed) == ("neutral", True)


def test_the_sealed_panel_still_says_what_is_wrong_with_the_data() -> None:
    blind = result(arrays=(picture(orientation=None),))
    assert named(sealed_trust_panel(blind)) == ["orientation_unknown"]
    broken = sealed_trust_panel(blind, unreadable=("zerofilled is not as it was written",))
    assert (broken.tone, named(broken)[0]) == ("block", "stored_bytes")
    assert dict(broken.origin)["Input: kspace"] == "cd" * 32


def test_the_alarm_of_the_stream_is_shown_with_its_words() -> None:
    panel = trust_panel(result(judged()), stream=("residual: alarm at case-9 in 40 cases. ...",))
    assert panel.tone == "advise"
    words = page(panel).words
    assert "Residual against expectation: alarm at case-9 in 40 cases. ..." in words


def prediction(*notes: str, kind: str = "timeseries.prediction", **facts: Any) -> Result:
    metrics = (
        Metric(name="probability of case", value=0.8, unit="1", n=1, unit_of_analysis="patient"),
        Metric(
            name="over this patient's trials, case",
            value=0.79,
            unit="1",
            n=4,
            unit_of_analysis="trial",
            ci_low=0.61,
            ci_high=0.93,
        ),
    )
    return result(score("half_gap"), kind=kind, notes=notes, metrics=metrics, **facts)


def test_state_alarms_claim_scores_origin_and_silent_alarms_follow_each_other() -> None:
    read = page(trust_panel(prediction("Cannot assess: too few patients.")))
    assert read.is_said_in_order(
        "Look at the alarms before the numbers.",
        "Cannot assess: too few patients.",
        "What the model says of the patient",
        "0.610 to 0.930",
        "It is no finding.",
        "What measurement says",
        "Difference between halves of the trials",
        "The model: card, label, training cohort",
        "Hashes, configuration, code",
        "alarms that are not raised",
    )


def test_every_fold_is_closed_and_says_what_is_in_it() -> None:
    many = (judged("residual"), *(judged(f"residual_coil_{coil}") for coil in range(3)))
    first = f"{SHOWN_FIRST} compressed sensing. On the same samples ..."
    folds = page(trust_panel(result(*many, notes=(first,)))).folds
    assert all(len(name.split()) > 1 for name in folds)
    assert "3 more: coil 0 to coil 2 of: Residual against expectation" in folds
    assert "Hashes, configuration, code" in folds
    rates = "measured rates" if rates_of("network_behind") else "rates not measured"
    about = f"Cause, threshold, promise, {rates} of: Network behind compressed sensing"
    assert about in folds
    assert len(set(folds)) == len(folds)


def test_a_score_has_a_line_with_its_plain_name_its_value_and_what_was_expected() -> None:
    folds = page(trust_panel(result(judged(expectation=0.7), score("half_gap", unit="1")))).folds
    line = "Residual against expectation: 0.8 sigma^2, expected 0.7 sigma^2, within the history"
    assert f"{line} of this site" in folds
    assert "Difference between halves of the trials: 0.8, not judged" in folds


def test_that_there_is_no_history_is_said_once_of_a_score() -> None:
    words = page(trust_panel(result(score()))).words
    assert words.count("No history: fewer than 20 cases (0 earlier ones).") == 1
    assert "No history yet" not in words
    assert "1 of 1 scores: this site has 0 earlier cases." in words


@pytest.mark.parametrize(
    ("kind", "own", "foreign"),
    [("wsi.prediction", "tiles", "signals"), ("timeseries.prediction", "signals", "tiles")],
)
def test_the_alarm_that_a_case_cannot_be_assessed_has_the_words_of_its_task(
    kind: str, own: str, foreign: str
) -> None:
    panel = trust_panel(prediction("Cannot assess: ...", kind=kind))
    (cause,) = [line.alarm.cause for line in panel.raised if line.alarm.name == "cannot_assess"]
    assert own in cause
    assert foreign not in cause
    assert cause in page(panel).words


def test_the_reason_of_an_alarm_is_not_said_again_by_the_claim() -> None:
    doubt = "Cannot assess: two classes stay possible."
    words = page(trust_panel(prediction(doubt, kind="wsi.prediction"))).words
    assert words.count(doubt) == 1
    assert "This case cannot be assessed: the reason is the alarm above." in words
    behind = f"{SHOWN_FIRST} compressed sensing. On the same samples ..."
    shown = page(trust_panel(result(notes=(behind,)))).words
    assert shown.count(behind) == 1
    assert "Why: see the alarm above." in shown
    ahead = f"{SHOWN_FIRST} cirim. On the same samples ..."
    assert page(trust_panel(result(notes=(ahead,)))).words.count(ahead) == 1


def test_the_condition_of_p_values_is_folded_only_where_there_is_none() -> None:
    for state, is_folded in ((judged(), False), (score(), True)):
        text = trust_panel_html(trust_panel(result(state)))
        inside = text.index("exchangeability") > text.index("Site history, p-values, rounding")
        assert inside == is_folded


def test_many_reasons_of_an_alarm_are_folded_after_the_first_three() -> None:
    scores = [judged(f"residual_coil_{coil}", state="outside") for coil in range(5)]
    read = page(trust_panel(result(*scores)))
    assert any(name.startswith("2 more reasons, cause") for name in read.folds)
    for coil in range(5):
        assert f"coil {coil}: Outside the history" in read.words


def test_earlier_cases_without_a_digest_are_named_in_the_state() -> None:
    panel = trust_panel(result(judged(calibration_id=None)))
    assert "are not on record" in panel.headline
    assert "are not on record" not in trust_panel(result(score())).headline
