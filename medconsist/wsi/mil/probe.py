"""The linear probe: a logistic regression on the mean feature of each case."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator
from torch.nn import functional

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.mean import MeanPool

__all__ = ["PENALTIES", "fit_probe"]

PENALTIES = tuple(10.0**power for power in range(-3, 5))
_STEPS = 2000


def fit_probe(train: Cohort, validation: Cohort) -> tuple[MeanPool, dict[str, float]]:
    r"""Return the probe as a model of bags, and how validation chose it.

    Mean features are standardised by the training cases; then :math:`\sum_i -\log p_{y_i} +
    \frac{\lambda}{2} \|W\|^2` is minimised for each of `PENALTIES`, and the one with the least log
    loss on validation is kept (of equal ones the largest). The standardisation is folded into the
    weights, so that it is a plain `MeanPool` and its instance scores are those of the same line.
    Nothing is drawn.

    Parameters
    ----------
    train, validation
        With labels, of different patients.

    Raises
    ------
    RefusedInputError
        Training has one class alone.
    """
    features, labels = _means(train), train.labels
    if len(torch.unique(labels)) != len(train.classes):
        msg = (
            f"training holds {len(torch.unique(labels))} of {len(train.classes)} classes; a probe "
            "needs cases of each."
        )
        raise RefusedInputError(msg)
    centre, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    best, scores = None, dict[str, float]()
    for penalty in sorted(PENALTIES, reverse=True):
        model = _model(train, (features - centre) / spread, labels.numpy(), penalty)
        folded = _folded(model, centre, spread, train)
        loss = _log_loss(folded, validation)
        if best is None or loss < scores["log_loss"]:
            best, scores = folded, {"log_loss": loss, "penalty": penalty}
    assert best is not None  # noqa: S101  there are penalties
    return best, scores


def _means(cohort: Cohort) -> npt.NDArray[np.float64]:
    rows = [cohort.rows(bag).double().mean(0) for bag in range(len(cohort))]
    found: npt.NDArray[np.float64] = torch.stack(rows).numpy()
    return found


def _model(
    train: Cohort, x: npt.NDArray[np.float64], y: npt.NDArray[np.int64], penalty: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return weights and biases, one row a class."""
    linear = require("sklearn.linear_model", extra="wsi")
    fitted = linear.LogisticRegression(C=1 / penalty, max_iter=_STEPS).fit(x, y)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(train.classes) == 2:
        weight, bias = np.vstack([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return weight, bias


def _folded(
    model: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    centre: npt.NDArray[np.float64],
    spread: npt.NDArray[np.float64],
    train: Cohort,
) -> MeanPool:
    weight, bias = model
    size = MilSize(dim=train.source.dim, classes=len(train.classes))
    pool = MeanPool(size, head="linear", generator=Generator().manual_seed(0))
    scaled = weight / spread
    state = {"weight": scaled, "bias": bias - scaled @ centre}
    pool.classifier.load_state_dict({n: torch.from_numpy(v).float() for n, v in state.items()})
    return pool.eval()


@torch.no_grad()
def _log_loss(model: MeanPool, cohort: Cohort) -> float:
    logits = [model(BagBatch.of([cohort.rows(bag).float()])).logits for bag in range(len(cohort))]
    return float(functional.cross_entropy(torch.cat(logits).double(), cohort.labels))
