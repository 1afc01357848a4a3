"""The page script run by Streamlit's own test harness, on results of the real store."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from medconsist import SIMULATED_NOTE
from medconsist.results.store import ResultStore, StoredResult, studies
from medconsist.results.trust import Score, TrustRecord
from medconsist.viewing.case_list import case_lines
from medconsist.viewing.launch import page
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.numbers import image_title
from medconsist.viewing.slide_reading import REGIONS
from tests.viewing.conftest import REASON, network_second
from tests.viewing.signals import predict_signals
from tests.viewing.slides import damage, embed_small, predict_small

WriteResult = Any
SCORE = Score(name="share", value=0.1, unit="1", n=9, meaning="A share.")
TIMEOUT_S = 60  # two cores may be shared with other tests


STILL = ("still pictures of reconstructions", "still pictures of slides")


def opened(root: Path, monkeypatch: pytest.MonkeyPatch, **link: str) -> AppTest:
    """Open a case by its link, the first one by name where none is named, as still pictures."""
    monkeypatch.setenv("MEDCONSIST_RESULTS", str(root))
    app = AppTest.from_file(str(page()), default_timeout=TIMEOUT_S)
    for name in STILL:  # what a widget draws is seen in a browser alone
        app.session_state[name] = True
    names = studies(root)
    if names and "case" not in link:
        link.setdefault("study", names[0])
        link["case"] = case_lines(ResultStore(root, link["study"]))[0].case
    return follow(app, **link)


def follow(app: AppTest, **link: str) -> AppTest:
    """Follow a link."""
    app.query_params.clear()
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def press(app: AppTest, label: str) -> AppTest:
    """Press the button of this name."""
    (button,) = [one for one in app.button if one.label == label]
    return button.click().run()


def words(app: AppTest) -> str:
    """All HTML of the page, as one text."""
    assert not app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def pane_titles(app: AppTest) -> list[str]:
    return re.findall(r'class="mc-pane"><b>([^<]*)</b>', words(app))


@pytest.fixture
def root(write_result: WriteResult, tmp_path: Path) -> Path:
    write_result(tmp_path, "scan-1", lambda_=0.01, minutes=0)
    write_result(tmp_path, "scan-1", lambda_=0.02, minutes=5)
    write_result(tmp_path, "scan-2", fields={"patient": "p-9"})
    return tmp_path


def test_the_first_screen_shows_the_case_its_images_and_the_notice(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(root, monkeypatch)
    assert NOTICE in words(app)
    assert "<h1>p-7 › scan-1</h1>" in words(app)
    assert pane_titles(app) == [
        "Zero-filled",
        "Reconstruction",
        "Reference",
        "Absolute difference",
        "Not determined by the data",
    ]


def test_the_numbers_stand_below_and_the_samples_beside_the_images(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = words(opened(root, monkeypatch))
    assert "<caption>ssim · 3 slices</caption>" in shown
    assert "0.91 to 0.95" in shown
    assert "960 of 1920 positions of k-space, acceleration 2.00." in shown
    assert "no model: classical method" in shown


def test_what_is_unknown_is_said_and_no_letters_and_no_ruler_are_drawn(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = words(opened(root, monkeypatch))
    assert "orientation unknown" in shown
    assert "voxel size unknown" in shown
    assert "top A" not in shown
    assert 'class="mc-ruler"' not in shown


def test_what_is_known_gets_letters_and_a_ruler(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axial = ((-1.0, 0.0, 0.0, 0.0), (0.0, -1.2, 0.0, 0.0), (0.0, 0.0, 5.0, 0.0))
    geometry = {"spacing_mm": (5.0, 1.2, 1.0), "orientation": (*axial, (0.0, 0.0, 0.0, 1.0))}
    write_result(tmp_path, array=geometry)
    shown = words(opened(tmp_path, monkeypatch))
    assert "left R · right L · top A · bottom P · bar 10 mm" in shown
    assert "width:25.000%" in shown  # 10 mm of 40 columns of 1 mm
    assert "orientation unknown" not in shown
    assert "voxel size unknown" not in shown


def test_choosing_another_case_shows_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(opened(root, monkeypatch), "Next case")  # the one that was finished before
    assert "<h1>p-9 › scan-2</h1>" in words(app)
    app = press(app, "Previous case")
    assert "<h1>p-7 › scan-1</h1>" in words(app)


def test_a_link_opens_its_case(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(root, monkeypatch, case="scan-2")
    assert "<h1>p-9 › scan-2</h1>" in words(app)


def test_a_link_opens_its_study(
    write_result: WriteResult, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "brain").rename(root / "spine")
    write_result(root, "scan-7")
    app = opened(root, monkeypatch, study="brain", case="scan-7")
    assert "<h1>p-7 › scan-7</h1>" in words(app)
    follow(app, study="spine", case="scan-1")
    assert "This result cannot be shown" in words(app)  # its files name another study


@pytest.mark.parametrize("case", ["../../scan-2", "scan-9", "", "<script>", "a" * 4096])
def test_a_link_to_nowhere_says_so_above_the_worklist(
    case: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = words(opened(root, monkeypatch, case=case))
    assert "<h1>Worklist</h1>" in shown
    assert "There is no such case here, or you may not look at it." in shown
    assert "<script>" not in shown


def test_an_older_result_is_reachable_and_labelled(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(root, monkeypatch)
    current, older = app.selectbox(key="key scan-1").options
    assert current.startswith("current")
    assert "older result, not the current one" not in words(app)
    app.selectbox(key="key scan-1").select(older).run()
    assert "older result, not the current one" in words(app)
    assert "&quot;lambda_&quot;: 0.01" in words(app)


def test_slider_and_number_of_the_window_say_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(root, monkeypatch)
    app.slider(key="level_slider").set_value(30.0).run()
    assert app.number_input(key="level_number").value == 30.0
    app.number_input(key="width_number").set_value(44.0).run()
    assert app.slider(key="width_slider").value == 44.0
    press(app, "Auto")
    assert app.number_input(key="level_number").value != 30.0


def test_a_new_window_survives_a_change_of_slice(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(root, monkeypatch)
    app.slider(key="level_slider").set_value(30.0).run()
    app.slider(key="slice").set_value(3).run()
    assert app.slider(key="level_slider").value == 30.0
    assert not app.exception


@pytest.mark.parametrize(("asked", "shown", "is_here"), [("3", 3, True), ("4", 2, False)])
def test_a_link_opens_its_slice_or_says_that_there_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, asked: str, shown: int, is_here: bool
) -> None:
    app = opened(root, monkeypatch, study="brain", case="scan-1", slice=asked)
    assert app.slider(key="slice").value == shown
    assert ("names a slice that is not here" in words(app)) is not is_here


def test_every_trust_map_is_shown_with_its_meaning(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(root, monkeypatch)
    (choice,) = [box for box in app.selectbox if box.label == "Map"]
    for title in choice.options:
        (box,) = [box for box in app.selectbox if box.label == "Map"]
        box.select(title).run()
        assert title in pane_titles(app)


def test_scores_say_their_expectation_and_that_there_is_no_history(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = words(opened(root, monkeypatch))
    assert "expected 1 sigma^2" in shown
    assert "No history: fewer than 20 cases (0 earlier ones)." in shown
    assert "exchangeability only" in shown


def test_the_width_of_the_feature_stands_beside_its_map_and_its_scores(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = TrustRecord(maps=("refutable_contrast",), settings={"fwhm_px": 2.5}, scores=(SCORE,))
    write_result(tmp_path, fields={"trust": trust}, maps=("refutable_contrast",))
    shown = words(opened(tmp_path, monkeypatch))
    assert shown.count("Stated width of a feature: 2.5 pixels at half of its height.") == 2


def test_a_network_is_labelled_and_the_order_has_its_reason(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path, **network_second())
    app = opened(tmp_path, monkeypatch)
    shown = words(app)
    assert "cirim: simulation-trained" in shown
    assert html.escape(REASON) in shown
    assert f"cirim (no card, simulation-trained), sha256 {'cd' * 32}" in shown
    assert re.search(r"<b>Reconstruction</b><span[^>]*>Compressed sensing, lambda 0.005", shown)
    assert re.search(r"<b>CIRIM</b><span[^>]*>simulation-trained", shown)


def test_a_network_and_compressed_sensing_can_be_compared(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path, **network_second())
    app = opened(tmp_path, monkeypatch)
    image, other = (
        next(box for box in app.selectbox if box.label == label)
        for label in ("Image", "Difference to")
    )
    assert image.value == "reconstruction"
    assert image.options[0] == "Zero-filled"
    assert "Reconstruction: Compressed sensing" in image.options
    other.select("CIRIM (simulation-trained)").run()
    assert "Reconstruction: Compressed sensing minus CIRIM (simulation-trained)" in words(app)


def test_a_second_network_has_the_name_of_its_weights(
    write_result: WriteResult, tmp_path: Path
) -> None:
    told = network_second()
    told["methods"] |= {"cirim": "rim"}
    assert image_title(write_result(tmp_path, **told), "cirim") == "rim"


def test_the_list_of_results_names_the_network_that_is_second(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path, **network_second())
    (label,) = opened(tmp_path, monkeypatch).selectbox(key="key scan-1").options
    assert label.startswith("current · cs · cirim (simulation-trained) second")


def test_a_result_without_a_network_has_no_such_label(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = words(opened(root, monkeypatch))
    assert "simulation-trained" not in shown
    assert 'class="mc-order"' not in shown


def test_a_simulated_scan_is_called_so_at_the_top(
    write_result: WriteResult, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(root, "scan-0", fields={"notes": (SIMULATED_NOTE,)})
    assert "simulated, not a person" in words(opened(root, monkeypatch, case="scan-0"))
    assert "simulated, not a person" not in words(opened(root, monkeypatch, case="scan-1"))


def test_a_broken_image_leaves_the_original_and_one_plain_sentence(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = write_result(tmp_path)
    folder = tmp_path / "brain" / "scan-1" / result.key / "reconstruction.zarr"
    chunk = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    chunk.chmod(0o644)
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    app = opened(tmp_path, monkeypatch)
    assert "not as it was written" in words(app)
    assert next(image.alt for image in images(app)) == "Zero-filled, slice 2"


def test_an_unreadable_result_shows_the_original_of_another_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = ResultStore(root, "brain").current("scan-1")
    path = root / "brain" / "scan-1" / str(current) / "result.json"
    path.chmod(0o644)
    path.write_text("{")
    app = opened(root, monkeypatch)
    assert "This result cannot be shown" in words(app)
    assert NOTICE in words(app)
    assert [image.alt for image in images(app)] == ["Zero-filled, slice 2"]


def test_an_empty_folder_says_how_to_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = words(opened(tmp_path, monkeypatch))
    assert "medconsist demo" in shown
    assert NOTICE in shown


def test_hostile_texts_are_shown_as_text(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "<img src=//example.org/x onerror=alert(1)>"
    fields = {
        "notes": (evil,),
        "config": {"methods": {"reconstruction": {"name": evil}}},
        "patient": None,
    }
    write_result(tmp_path, fields=fields, array={"description": evil})
    shown = words(opened(tmp_path, monkeypatch))
    assert "&lt;img src=//example.org" in shown
    assert "<img" not in shown


@pytest.fixture(scope="module")
def slides(
    write_result: WriteResult, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, StoredResult]:
    """A folder with a scan and a slide."""
    root = tmp_path_factory.mktemp("slides") / "results"
    write_result(root)
    return root, embed_small(root)


def test_a_slide_is_shown_with_its_regions_the_notice_and_a_badge(
    slides: tuple[Path, StoredResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(slides[0], monkeypatch, study="wsi")
    shown = words(app)
    assert pane_titles(app) == ["Overview", "Regions", "Feature colours"]
    assert "<h1>p-5 › biopsy</h1>" in shown
    assert NOTICE in shown
    assert "simulated, not a person" in shown
    assert "quarters: no weights" in shown
    assert "microns per pixel unknown" not in shown
    assert shown.count('class="mc-ruler"') == 3
    assert "Microns per pixel 1 x 1, source: aperio.MPP." in shown


def test_regions_are_switched_on_and_off(
    slides: tuple[Path, StoredResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(slides[0], monkeypatch, study="wsi")
    assert [(box.key, box.value) for box in app.checkbox] == [(role, True) for role in REGIONS]
    for role in REGIONS:
        app.checkbox(key=role).uncheck().run()
    assert "nothing marked" in words(app)
    app.checkbox(key="pen").check().run()
    assert re.search(r"<b>Regions</b><span[^>]*>Pen</span>", words(app))


def test_scans_and_slides_stand_beside_each_other(
    slides: tuple[Path, StoredResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(slides[0], monkeypatch)
    assert "<h1>p-7 › scan-1</h1>" in words(app)
    follow(app, study="wsi", case="biopsy")
    assert "<h1>p-5 › biopsy</h1>" in words(app)
    follow(app, study="brain", case="scan-1")
    assert "Zero-filled" in pane_titles(app)


def test_a_scan_and_a_slide_of_one_study_are_each_drawn_as_what_they_are(
    write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path / "results")
    embed_small(tmp_path / "results", study="brain")
    app = opened(tmp_path / "results", monkeypatch)
    assert pane_titles(app)[0] == "Overview"
    follow(app, case="scan-1")
    assert pane_titles(app)[0] == "Zero-filled"
    follow(app, case="biopsy")
    assert pane_titles(app)[0] == "Overview"


def test_the_slides_of_a_case_are_told_apart_in_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("front", "back"):
        embed_small(tmp_path / "results", name, case="case-1")
    app = opened(tmp_path / "results", monkeypatch)
    labels = app.selectbox(key="key case-1").options
    assert [sum(name in label for label in labels) for name in ("front", "back")] == [1, 1]
    for name in ("front", "back"):
        (label,) = [label for label in labels if name in label]
        app.selectbox(key="key case-1").select(label).run()
        assert f"<h1>p-5 › case-1 › {name}</h1>" in words(app)


@pytest.mark.parametrize("role", ["feature_colours", "pen", "overview"])
def test_a_damaged_picture_of_a_slide_leaves_the_others(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = embed_small(tmp_path / "results")
    damage(tmp_path / "results", stored, role)
    app = opened(tmp_path / "results", monkeypatch)
    assert f"{role} is not shown, the stored bytes are at fault." in words(app)
    left = {"feature_colours": ["Overview", "Regions"], "overview": []}
    assert pane_titles(app) == left.get(role, ["Overview", "Regions", "Feature colours"])
    assert NOTICE in words(app)
    assert 'aria-label="Trust panel"' in words(app)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide that a model was asked about, with too few validation patients to answer."""
    root: Path = tmp_path_factory.mktemp("predicted") / "results"
    embed_small(root)
    predict_small(root, patients=4)
    return root


def test_a_prediction_says_its_doubts_before_its_numbers(
    predicted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = words(opened(predicted, monkeypatch))
    assert "cannot be assessed: see the reasons" in shown
    doubt, said = shown.index("Cannot assess: "), shown.index("Probabilities of the case")
    assert doubt < said
    assert shown.count("Cannot assess: ") == 1  # as the alarm that it raises, which stands first
    assert shown.index('aria-label="Trust panel"') < doubt
    assert said < shown.index("What measurement says")
    assert "sensitivity 0.90 of 10" in shown
    assert "It is no finding." in shown
    assert "simulated, not a person" in shown
    assert NOTICE in shown


def test_every_map_of_a_prediction_is_chosen_with_its_legend_and_caution(
    predicted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(predicted, monkeypatch)
    titles = next(box for box in app.selectbox if box.label == "Map").options
    assert titles[0] == "Tile probability: tumour"
    assert len(titles) == 4
    for title in titles:
        next(box for box in app.selectbox if box.label == "Map").select(title).run()
        assert pane_titles(app)[:3] == ["Overview", "Regions", title]
        assert "No colour: no tile was used there." in words(app)
        assert 'class="mc-ends"' in words(app)
    assert "colours of two slides do not compare" in words(app)


def test_the_highest_and_lowest_tiles_of_a_prediction_are_shown(
    predicted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(predicted, monkeypatch)
    assert pane_titles(app)[-2:] == ["Highest tiles", "Lowest tiles"]
    assert [image.alt for image in images(app)][-2:] == ["Highest tiles", "Lowest tiles"]


def test_the_features_of_a_prediction_stay_reachable(
    predicted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(predicted, monkeypatch)
    older = app.selectbox(key="key biopsy").options[1]
    app.selectbox(key="key biopsy").select(older).run()
    assert pane_titles(app) == ["Overview", "Regions", "Feature colours"]


def test_a_prediction_of_signals_says_its_doubts_before_its_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = predict_signals(tmp_path).result
    app = opened(tmp_path / "results", monkeypatch)
    shown = words(app)
    assert "<h1>p-3</h1>" in shown
    assert "cannot be assessed: see the reasons" in shown
    assert shown.index("Cannot assess: ") < shown.index("<caption>Probabilities of the patient")
    assert f"{result.metrics[0].value:.3f}" in shown
    assert "It is no finding." in shown
    assert "<caption>Nearest trials of training, ids left out</caption>" in shown
    assert "unusable" in shown
    assert "no image" not in shown
    assert NOTICE in shown
    assert not images(app)


def images(app: AppTest) -> list[Any]:
    """The image elements of the page without the colour bars."""
    found = [image for element in app.get("image") for image in element.proto.imgs]
    return [image for image in found if not image.alt.startswith("Colour bar")]
