"""What is said of embedded slides, as text and as JSON."""

import json
from pathlib import Path

import pytest

import medconsist
from medconsist.wsi.jobs import Done, Refused, embed_all, slide_jobs
from medconsist.wsi.report import as_json, as_text
from medconsist.wsi.settings import Embedding
from tests.wsi.small_slide import QuarterMeans, write_small_slide


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder: Path = tmp_path_factory.mktemp("report")
    paths = [write_small_slide(folder / f"{name}.svs", seed=ord(name)) for name in "ab"]
    common = {"out": folder / "out", "encoder": QuarterMeans(), "settings": Embedding()}
    embed_all(slide_jobs(paths[:1], **common))
    found = embed_all(slide_jobs(paths, **common))
    refused = Refused(folder / "c.svs", "corrupt", "c.svs is cut.", 2)
    return Done(found.outcomes, (refused,))


def test_text_names_every_slide_its_state_and_its_paths_last(done: Done) -> None:
    lines = as_text(done).splitlines()
    assert lines[0] == medconsist.RESEARCH_USE_ONLY
    (a,) = [line for line in lines if line.startswith("a ")]
    (b,) = [line for line in lines if line.startswith("b ")]
    assert "was done before" in a
    assert "done now" in b
    assert "0.5 x 0.5, source: aperio.MPP" in a
    tiles = {m.name: m.value for m in done.outcomes[0].stored.result.metrics}["tiles"]
    assert f" {tiles:.0f} " in a
    assert "left out (corrupt): c.svs is cut." in lines
    assert [Path(line).is_file() for line in lines[-2:]] == [True, True]


def test_what_a_reader_must_know_stands_below_the_table(tmp_path: Path) -> None:
    brown = write_small_slide(tmp_path / "brown.svs", stain="ihc")
    common = {"out": tmp_path, "encoder": QuarterMeans(), "settings": Embedding()}
    lines = as_text(embed_all(slide_jobs([brown], **common))).splitlines()
    assert any(line.startswith("brown: the stain looks ihc") for line in lines)
    assert f"brown: {medconsist.SIMULATED_NOTE}" in lines
    assert not any("Decoded by the engine" in line for line in lines)


def test_text_of_refused_slides_alone_has_no_table(done: Done) -> None:
    text = as_text(Done((), done.refused))
    assert text.splitlines()[-1] == "left out (corrupt): c.svs is cut."
    assert "tissue" not in text


def test_a_sentence_that_names_no_slide_gets_its_name(done: Done) -> None:
    nameless = Refused(Path("folder/c.svs"), "no tissue", "no tissue was found.", 2)
    assert as_text(Done((), (nameless,))).endswith("(no tissue): c.svs: no tissue was found.")


def test_json_agrees_with_the_records(done: Done) -> None:
    said = json.loads(json.dumps(as_json(done)))
    assert said["said"] == medconsist.RESEARCH_USE_ONLY
    assert [one["fresh"] for one in said["results"]] == [False, True]
    for one in said["results"]:
        record = json.loads(Path(one["result"]).read_text())
        assert one["key"] == Path(one["result"]).parent.name
        assert one["metrics"] == record["metrics"]
        assert one["scores"] == record["trust"]["scores"]
        assert one["notes"] == record["notes"]
    (refused,) = said["refused"]
    assert (refused["reason"], refused["said"]) == ("corrupt", "c.svs is cut.")
    assert refused["slide"].endswith("c.svs")
