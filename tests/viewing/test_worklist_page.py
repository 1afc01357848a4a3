"""The worklist run by Streamlit's own test harness; its table is pressed in a browser alone."""

import json
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from medconsist.results.trust import TrustRecord
from medconsist.review.access import Person
from medconsist.viewing.launch import page
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.web.server import local_person, server
from medconsist.viewing.worklist_ask import Asked
from tests.viewing.worklist_cases import finish, many, score

TIMEOUT_S = 60  # two cores may be shared with other tests
OTHER = Person(subject="other", name="O. Other", session="another window")


@pytest.fixture
def root(tmp_path: Path, write_result: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "results"
    write_result(root, "scan-1", fields={"trust": TrustRecord()}, maps=())
    trust = TrustRecord(scores=(score("outside", 0.02),))
    write_result(root, "scan-2", minutes=10, fields={"patient": "p-9", "trust": trust}, maps=())
    finish(root, "scan-3", patient="p-1", minutes=5, kind="mri.other", study="heart")
    (root / "brain" / "manifest.csv").write_text(
        "path,patient,case,site\na.h5,p-7,scan-1,north\nb.h5,p-9,scan-2,south\n"
    )
    monkeypatch.setenv("MEDCONSIST_RESULTS", str(root))
    return root


def start(**address: str) -> AppTest:
    app = AppTest.from_file(str(page()), default_timeout=TIMEOUT_S)
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def table(app: AppTest) -> dict[str, Any]:
    """What the table was given."""
    assert not app.exception
    (element,) = [
        one
        for one in app.get("bidi_component")
        if one.proto.component_name == "medconsist_worklist"
    ]
    given: dict[str, Any] = json.loads(element.proto.json)
    return given


def cases(app: AppTest) -> list[str]:
    return [row["open"]["case"] for row in table(app)["rows"]]


def words(app: AppTest) -> str:
    assert not app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [one for one in app.button if one.label == label]
    return button.click().run()


def address(app: AppTest) -> dict[str, str]:
    return {name: "".join(value) for name, value in dict(app.query_params).items()}


def test_the_page_begins_with_all_cases_the_latest_first(root: Path) -> None:
    app = start()
    assert cases(app) == ["scan-2", "scan-3", "scan-1"]
    assert "<h1>Worklist</h1>" in words(app)
    assert NOTICE in words(app)
    assert table(app)["caption"].startswith("3 cases. ")
    assert address(app) == {}
    assert not app.get("pagination")


def test_words_and_filters_narrow_the_list_and_stand_in_the_address(root: Path) -> None:
    app = start()
    app.text_input(key="list words").set_value("P-9").run()
    assert cases(app) == ["scan-2"]
    assert address(app) == {"words": "P-9"}
    app.text_input(key="list words").set_value("").run()
    app.selectbox(key="list study").select("heart").run()
    assert cases(app) == ["scan-3"]
    app.selectbox(key="list study").set_value(None).run()
    app.selectbox(key="list kind").select("mri.reconstruction").run()
    app.selectbox(key="list site").select("north").run()
    assert cases(app) == ["scan-1"]
    assert address(app) == {"kind": "mri.reconstruction", "site": "north"}
    assert cases(start(**address(app))) == ["scan-1"]


def test_a_site_nobody_named_is_unknown_and_can_be_asked_for(root: Path) -> None:
    app = start()
    assert app.selectbox(key="list site").options == ["unknown", "north", "south"]
    assert cases(start(site="")) == ["scan-3"]


def test_the_list_is_sorted_by_age_site_and_patient(root: Path) -> None:
    app = start()
    for by, found in (
        ("age", ["scan-1", "scan-3", "scan-2"]),
        ("site", ["scan-1", "scan-2", "scan-3"]),
        ("patient", ["scan-3", "scan-1", "scan-2"]),
    ):
        app.selectbox(key="list sort").set_value(by).run()
        assert cases(app) == found
        assert address(app) == {"sort": by}


def test_scores_sort_only_when_a_person_switches_that_on_and_the_list_says_so(root: Path) -> None:
    app = start(sort="trust")
    mark = "Sorted by a model&#x27;s score"
    assert cases(app) == ["scan-2", "scan-3", "scan-1"]
    assert len(app.selectbox(key="list sort").options) == 4
    app.toggle(key="list by score").set_value(True).run()
    assert mark not in words(app)
    app.selectbox(key="list sort").set_value("number").run()
    assert mark in words(app)
    assert table(app)["columns"][-1]["title"] == "outside score"
    assert table(app)["rows"][0]["cells"][-1] == "1.5"
    assert address(app) == {}  # what one person switched on is not sent to another
    app.toggle(key="list by score").set_value(False).run()
    assert mark not in words(app)
    assert cases(app) == ["scan-2", "scan-3", "scan-1"]
    assert len(table(app)["columns"]) == 8


def test_scores_sort_nothing_where_a_first_impression_comes_first(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCONSIST_IMPRESSIONS", "first")
    app = start()
    assert app.toggle(key="list by score").disabled
    assert len(app.selectbox(key="list sort").options) == 4


def test_no_switch_of_before_sorts_or_shows_a_sealed_case_by_a_score(
    root: Path, write_result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = TrustRecord(scores=(score("outside", 0.01),))
    write_result(root, "scan-1", lambda_=0.1, fields={"trust": worse}, maps=())
    by_time = ["scan-2", "scan-3", "scan-1"]

    def preset(by: str, **address: str) -> AppTest:
        app = AppTest.from_file(str(page()), default_timeout=TIMEOUT_S)
        for name, value in address.items():
            app.query_params[name] = value
        app.session_state["asked"] = Asked(by=by, number="outside score")
        app.session_state["list by score"], app.session_state["list sort"] = True, by
        app.session_state["list number"] = "outside score"
        return app.run()

    assert cases(preset("trust"))[0] == "scan-1"  # what the switch does where nothing is sealed
    monkeypatch.setenv("MEDCONSIST_IMPRESSIONS", "first")
    for by in ("trust", "number"):
        app = preset(by, sort=by, number="outside score")
        assert cases(app) == by_time
        assert len(table(app)["columns"]) == 8
        for told in ("outside", "1.5", "Trust", "least p"):
            assert told not in json.dumps(table(app))
        beside = preset(by, study="brain", case="scan-2")
        press(beside, "Next case")
        assert address(beside)["case"] == "scan-3"


def test_next_and_previous_follow_the_list_as_it_is_filtered_and_sorted(root: Path) -> None:
    app = start(sort="patient", study="brain")
    app.query_params.clear()
    app.query_params["case"] = "scan-1"
    assert "<h1>p-7 › scan-1</h1>" in words(app.run())
    press(app, "Next case")
    assert address(app) == {"study": "brain", "case": "scan-2"}
    assert "<h1>p-9 › scan-2</h1>" in words(app)
    press(app, "Next case")
    assert "No case after this one in your list that nobody else reads." in words(app)
    press(app, "Previous case")
    assert "<h1>p-7 › scan-1</h1>" in words(app)
    press(app, "Previous case")
    assert "No case before this one" in words(app)


def test_the_way_back_keeps_filter_order_and_page(root: Path) -> None:
    many(root, 120)
    app = start(sort="age", words="scan-0", page="2")
    assert len(cases(app)) == 50
    before = table(app)
    app.query_params.clear()
    app.query_params["case"] = "scan-1"
    app.run()
    press(app, "← Worklist")
    assert address(app) == {"sort": "age", "words": "scan-0", "page": "2"}
    assert [row["open"] for row in table(app)["rows"]] == [row["open"] for row in before["rows"]]
    assert app.text_input(key="list words").value == "scan-0"
    assert table(app)["last"] == {"study": "brain", "case": "scan-1"}
    app.text_input(key="list words").set_value("scan").run()
    assert "page" not in address(app)  # another list begins at its first page


def test_a_page_behind_the_last_one_is_the_last(root: Path) -> None:
    many(root, 60)
    app = start(page="7")
    assert address(app)["page"] == "2"
    assert len(cases(app)) == 13


def test_a_case_of_several_studies_is_chosen_by_its_reader(root: Path) -> None:
    finish(root, "scan-1", study="heart")
    shown = words(start(case="scan-1"))
    assert "Several studies have a case of this name: brain, heart." in shown
    assert "<h1>Worklist</h1>" in shown


def test_a_place_in_the_address_is_left_to_the_screen_and_gone_with_the_case(root: Path) -> None:
    app = start(study="brain", case="scan-1", slice="2", entry="abc")
    assert address(app)["slice"] == "2"
    press(app, "← Worklist")
    assert {"slice", "entry"}.isdisjoint(address(app))


def test_a_link_to_an_older_result_stays_and_one_to_nowhere_says_so(
    root: Path, write_result: Any
) -> None:
    old = server().index.lines(["brain"])[0].current
    assert old is not None
    write_result(root, "scan-1", lambda_=0.1, minutes=30)
    app = start(study="brain", case="scan-1", key=old.key)
    assert "older result, not the current one" in words(app)
    assert "The link names a result that is not here" in words(start(case="scan-1", key="0" * 64))


def test_a_case_that_is_read_is_locked_and_free_again_when_it_is_left(root: Path) -> None:
    app = start(study="brain")
    store, me = server().store, local_person("here")
    assert store is not None
    app.query_params["case"] = "scan-1"
    app.run()
    assert list(store.reading(me, "brain")) == ["scan-1"]
    press(app, "Previous case")
    assert list(store.reading(me, "brain")) == ["scan-2"]
    press(app, "← Worklist")
    assert store.reading(me, "brain") == {}


def test_a_case_that_somebody_else_reads_is_named_looked_at_and_passed_over(root: Path) -> None:
    store = server().store
    assert store is not None
    store.grant(None, "other", "brain", "signer")
    store.take_lock(OTHER, "brain", "scan-2")
    app = start(study="brain")
    assert {row["open"]["case"]: row["cells"][-1] for row in table(app)["rows"]} == {
        "scan-1": "",
        "scan-2": "other",
    }
    app.query_params["case"] = "scan-2"
    shown = words(app.run())
    assert "Read by other now, at most until" in shown
    assert "<h1>p-9 › scan-2</h1>" in shown
    app.query_params["case"] = "scan-1"
    app.run()
    press(app, "Previous case")
    assert "No case before this one in your list that nobody else reads." in words(app)


def test_what_another_window_reads_comes_here_when_it_is_asked_for(root: Path) -> None:
    first, second = (start(study="brain", case="scan-1") for _ in range(2))
    assert "Read by you in another window now" in words(second)
    press(second, "Read it in this window")
    assert "Read by you" not in words(second)
    assert "is gone. Read by you in another window now" in words(first.run())


def test_an_unreadable_result_has_its_row_and_says_why(root: Path) -> None:
    current = (root / "brain" / "scan-1" / "current").read_text().strip()
    file = root / "brain" / "scan-1" / current / "result.json"
    file.chmod(0o644)
    file.write_text("{")
    os.utime(root / "brain" / "scan-1", (time.time(), time.time()))
    app = start()
    row = table(app)["rows"][-1]
    assert row["open"]["case"] == "scan-1"
    assert "result.json" in row["problem"]
    assert "1 cannot be read" in table(app)["caption"]
    assert "This result cannot be shown" in words(start(case="scan-1"))


def test_a_manifest_that_cannot_be_read_is_said_and_the_list_stands(root: Path) -> None:
    (root / "brain" / "manifest.csv").write_text("<script>\n")
    app = start()
    assert "Sites of study brain are unknown" in words(app)
    assert "<script>" not in words(app)
    assert len(cases(app)) == 3


def test_my_cases_are_those_that_i_read(root: Path) -> None:
    start(study="brain", case="scan-1")
    app = start(mine="1")
    assert cases(app) == ["scan-1"]
    assert table(app)["rows"][0]["cells"][-1] == "you"


def test_a_day_leaves_out_what_was_finished_before(root: Path) -> None:
    app = start()
    app.date_input(key="list since").set_value(date(2026, 11, 23)).run()
    assert cases(app) == []
    assert address(app) == {"since": "2026-11-23"}
    app.date_input(key="list since").set_value(date(2026, 11, 22)).run()
    assert len(cases(app)) == 3
