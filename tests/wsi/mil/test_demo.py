"""The small training of the demo: cut off it goes on, and another seed has a model of its own."""

from pathlib import Path

import pytest

from medconsist.training.run_folder import RunFolder
from medconsist.wsi import demo as slides_demo
from medconsist.wsi.mil import demo
from medconsist.wsi.simulate import SlideConfig


def test_a_demo_that_was_cut_off_goes_on_and_another_seed_learns_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SlideConfig(width=512, height=512)
    monkeypatch.setattr(slides_demo, "SLIDES", {"drawn": SlideConfig(width=768, height=768)})
    monkeypatch.setattr(demo, "SMALL", small)
    for part in ("TRAIN", "VALIDATION"):
        monkeypatch.setattr(demo, part, 2)
    slides_demo.run_demo(tmp_path, device="cpu", seed=0)

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", cut_off)
        with pytest.raises(KeyboardInterrupt):
            demo.run_demo(tmp_path, device="cpu", seed=0)

    first = demo.run_demo(tmp_path, device="cpu", seed=0)
    other = demo.run_demo(tmp_path, device="cpu", seed=1)

    assert first.model != other.model
    assert first.card.weights_sha256 != other.card.weights_sha256
    assert [one.predicted.exit_code for one in (first, other)] == [0, 0]
