"""The slide screen's question: what would the model say without these tiles? Never a result.

The answer comes from the stored features of the very bags that were predicted, and from the weights
with the sha256 of the result, found where ``wsi predict`` last saw them.
"""

from collections.abc import Mapping
from typing import Any

from medconsist._digests import canonical_json
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult
from medconsist.wsi.bags.bag_store import BAG_ROLE, BagEntry, case_bag
from medconsist.wsi.geojson import regions_of
from medconsist.wsi.mil.predict import KIND
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.mil.training_run import load_predictor
from medconsist.wsi.mil.what_if import WithoutTiles, tiles_inside, without_tiles

__all__ = ["WATERMARK", "found_predictor", "what_if", "what_if_words"]

WATERMARK = "what if, not a result"
_BAG = "bag_"
_SAME = 1e-4  # between devices and threads float32 sums differ by less
_PROBABILITY = "probability of "


def found_predictor(store: ResultStore, result: Result) -> Predictor:
    """Return the model of a prediction, its weights compared with the sha256 of the result.

    Parameters
    ----------
    store
        Of the study, which knows where the weights were last seen.
    result
        A prediction.

    Raises
    ------
    MissingInputError
        The weights are not where they were, or their bytes have changed.
    RefusedInputError
        The result is no prediction of a slide; or the weights and their card do not fit.
    """
    if result.kind != KIND or result.model is None:
        msg = f"a {result.kind} comes from no model of bags, so that nothing can be left out."
        raise RefusedInputError(msg)
    path = store.inputs.find(result.model.sha256)
    if path is None:
        msg = (
            f"the weights of {result.model.name} (sha256 {result.model.sha256[:12]}) are not where "
            "they were, so that the model cannot be asked again. Put the folder of its training "
            "back, or run medconsist wsi predict with it once more."
        )
        raise MissingInputError(msg)
    return load_predictor(path.parent)


def what_if(
    store: ResultStore,
    stored: StoredResult,
    geometry: Mapping[str, Any],
    *,
    predictor: Predictor,
) -> WithoutTiles:
    """Return what the model says of the case with and without the tiles in an outline.

    Parameters
    ----------
    store
        Of the study, with the bags.
    stored
        The prediction on the screen; the outline lies on its slide.
    geometry
        GeoJSON Polygon or MultiPolygon [level-0 px].
    predictor
        Of `found_predictor`.

    Raises
    ------
    MissingInputError
        A bag that was predicted is gone.
    CorruptInputError, UnsupportedInputError
        The outline is none.
    RefusedInputError
        No tile or every tile lies in it; or the model does not say again what the result says, and
        then nothing it says is shown.
    CorruptResultError
        A byte of a bag differs from what was stored.
    """
    result = stored.result
    feature = {"type": "Feature", "geometry": dict(geometry), "properties": {}}
    outline = regions_of(canonical_json(feature), name="the outline", origin="slide")[0].geometry
    entries = _bags(store, result)
    case = case_bag(entries)
    slide = next(n for n, one in enumerate(entries) if (one.slide or "") == (result.item or ""))
    answer = without_tiles(predictor, case, tiles_inside(case, slide, outline))
    _refuse_other_answer(result, answer)
    return answer


def what_if_words(answer: WithoutTiles) -> dict[str, Any]:
    """Return the answer as the widget draws it: ``watermark rows notes``."""
    rows = [
        [name, f"{whole:.3f}", f"{without:.3f}"]
        for name, whole, without in zip(answer.classes, answer.whole, answer.without, strict=True)
    ]
    notes = [f"{answer.hidden} tiles left out, {answer.left} remain in the case."]
    if answer.flips:
        notes.append("Another class becomes the most probable.")
    notes.append("The model never saw such a case; it is stored nowhere and goes into no report.")
    return {"watermark": WATERMARK, "rows": rows, "notes": notes}


def _bags(store: ResultStore, result: Result) -> list[BagEntry]:
    """Return the bags that were predicted, in the order in which they were."""
    wanted = {name: sha for name, sha in result.inputs.items() if name.startswith(_BAG)}
    found = dict[str, BagEntry]()
    for key in store.keys(result.case):
        stored = store.read(result.case, key)
        if BAG_ROLE in stored.roles():
            found.setdefault(stored.record(BAG_ROLE).sha256, BagEntry(stored))
    missing = [name.removeprefix(_BAG) for name, sha in wanted.items() if sha not in found]
    if missing:
        msg = (
            f"the features of {', '.join(missing)} that were predicted are gone; embed the slide "
            "again, then predict it."
        )
        raise MissingInputError(msg)
    return sorted((found[sha] for sha in wanted.values()), key=lambda one: one.slide or "")


def _refuse_other_answer(result: Result, answer: WithoutTiles) -> None:
    stored = {
        one.name.removeprefix(_PROBABILITY): one.value
        for one in result.metrics
        if one.name.startswith(_PROBABILITY)
    }
    for name, value in zip(answer.classes, answer.whole, strict=True):
        if name not in stored or abs(stored[name] - value) > _SAME:
            msg = (
                f"asked again, the model says {value:.4f} for {name} and the result says "
                f"{stored.get(name, float('nan')):.4f}; nothing that it says is shown. Predict the "
                "case again."
            )
            raise RefusedInputError(msg)
