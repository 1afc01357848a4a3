"""The label leak of the released INS code, for comparison only: it trains on instance truth."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.objective import InsObjective
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.objective import Sampling

__all__ = ["ReleasedLabelsInsObjective"]


class ReleasedLabelsInsObjective(InsObjective):
    """INS as its released code labels instances: NOT from slide labels alone. A leak, marked.

    There, every truly negative patch of a positive slide has the candidate set {0} and is reset to
    a known negative at every step; only the truly positive ones are in doubt. Figures made so are
    no result of learning from slide labels; the class exists to be measured beside `InsObjective`,
    and for the test that the leak audit finds it. What it trains says ``labels_from = released``.

    Parameters
    ----------
    size, train, validation, config, sampling
        As of `InsObjective`.
    instance_truth
        For each training bag, whether each instance is positive: what `InsObjective` has no
        argument for.

    Raises
    ------
    RefusedInputError
        As of `InsObjective`; truth of another number of bags or instances.

    Examples
    --------
    ::

        leak = ReleasedLabelsInsObjective(MilSize(dim=1024), train, instance_truth=truth)
        leak.about()["labels_from"]
    """

    def __init__(
        self,
        size: MilSize,
        train: Cohort,
        validation: Cohort | None = None,
        *,
        instance_truth: Sequence[Bool[Tensor, " _"]],
        config: InsConfig | None = None,
        sampling: Sampling | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(size, train, validation, config=config, sampling=sampling, about=about)
        wanted = [train.instances(bag) for bag in range(len(train))]
        if [len(truth) for truth in instance_truth] != wanted:
            msg = (
                f"instance_truth got {len(instance_truth)} bags of "
                f"{sum(map(len, instance_truth))} instances; the training has {len(wanted)} of "
                f"{sum(wanted)}. Give one value an instance, bag by bag."
            )
            raise RefusedInputError(msg)
        self._truth = torch.cat(list(instance_truth))

    def may_be_positive(self) -> Bool[Tensor, " instances"]:
        """Return the leaked sets: {0, 1} for truly positive instances of positive bags alone."""
        return super().may_be_positive() & self._truth

    def about(self) -> dict[str, str]:
        """Return what the weights have seen: the truth of training instances."""
        return super().about() | {
            "labels_from": "released",
            "trained_on": f"{len(self.train)} cases AND THE TRUTH OF THEIR INSTANCES (leak)",
        }
