"""The numbers of a structured report: verdict, trust scores and metrics as groups of TID 1501."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from medconsist._extras import require
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.results.schema import Metric, Result
from medconsist.results.trust import Score
from medconsist.review.records import Verdict
from medconsist.viewing.leaving.dicom_heading import algorithm, algorithm_words
from medconsist.viewing.leaving.dicom_words import coded, long_string, unit_code, unlimited
from medconsist.viewing.numbers import image_title, plain_name
from medconsist.viewing.scores import score_title

__all__ = ["measurement_groups"]

_Number = tuple[str, float | int, str]
_NO_TITLES: Mapping[str, str] = MappingProxyType({})


def measurement_groups(result: Result, verdict: Verdict) -> list[Any]:
    """Return one group for the verdict, each trust score and each metric, in this order.

    A score has its value, what was expected of it, on how many samples it rests, p and the number
    of earlier cases where there are any; its state as a code, judgement and meaning as text. Its
    code is the name in the result, the words are those of the trust panel.
    """
    opinion = {"verdict": verdict.opinion.value, "state": verdict.state}
    groups = [_group("verdict", result, said=opinion, by_program=False)]
    groups += [_score(score, result) for score in result.trust.scores]
    return groups + [_metric(metric, result) for metric in result.metrics]


def _score(score: Score, result: Result) -> Any:  # noqa: ANN401  a class of highdicom
    expected, title = f"{score.name}_expected", score_title(score.name)
    numbers = [(score.name, score.value, score.unit)]
    if score.expectation is not None:
        numbers.append((expected, score.expectation, score.unit))
    numbers.append(("n", score.n, "1"))
    if score.p is not None:
        numbers += [("p", score.p, "1"), ("n_history", score.n_history, "1")]
    words = f"{score.judgement}\n{score.meaning}\n{result.trust.validity}"
    return _group(
        score.name,
        result,
        numbers=numbers,
        titles={score.name: title, expected: f"Expected: {title}"},
        said={"state": score.state},
        words=words,
    )


def _metric(metric: Metric, result: Result) -> Any:  # noqa: ANN401  a class of highdicom
    numbers = [(metric.name, metric.value, metric.unit), ("n", metric.n, "1")]
    if metric.ci_low is not None and metric.ci_high is not None:
        numbers.append((f"{metric.name}_interval_low", metric.ci_low, metric.unit))
        numbers.append((f"{metric.name}_interval_high", metric.ci_high, metric.unit))
    image = image_title(result, metric.role) if metric.role else "Result"
    words = f"{image}; n counts {metric.unit_of_analysis}"
    words += f"; of the part {metric.split}" if metric.split else ""
    name = f"{metric.name} {metric.role or ''}".strip()
    return _group(name, result, numbers=numbers, words=words)


def _group(
    name: str,
    result: Result,
    *,
    numbers: Sequence[_Number] = (),
    titles: Mapping[str, str] = _NO_TITLES,
    said: Mapping[str, str] | None = None,
    words: str = "",
    by_program: bool = True,
) -> Any:  # noqa: ANN401  a class of highdicom
    sr = require("highdicom.sr", extra="dicom")
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=derived_uid("measured", result.content_sha256, name),
            identifier=unlimited(titles.get(name) or plain_name(name)),
        ),
        algorithm_id=_algorithm(result) if by_program else None,
        measurements=[
            sr.Measurement(
                name=coded(what, titles.get(what, "")), value=value, unit=unit_code(unit)
            )
            for what, value, unit in numbers
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(
                name=coded(what), value=coded(value.replace(" ", "_"), long_string(value))
            )
            for what, value in (said or {}).items()
        ],
    )
    if words:
        comment = sr.TextContentItem(
            name=coded("judgement"), value=unlimited(words), relationship_type="CONTAINS"
        )
        group[0].ContentSequence.append(comment)
    return group


def _algorithm(result: Result) -> Any:  # noqa: ANN401  a class of highdicom
    name, version = algorithm(result)
    return require("highdicom.sr", extra="dicom").AlgorithmIdentification(
        name=name, version=version, parameters=algorithm_words(result)
    )
