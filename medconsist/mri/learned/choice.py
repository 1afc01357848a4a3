"""A network as it is asked for on a command line: by name or file, adapted or not."""

from dataclasses import dataclass

from medconsist.errors import RefusedInputError
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import SHIPPED, LearnedModel, load_model
from medconsist.mri.learned.zero_shot import ZeroShot, ZeroShotMethod
from medconsist.mri.methods import Method

__all__ = ["Choice"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which network, and whether it adapts to the scan.

    Parameters
    ----------
    weights
        A name of `SHIPPED` or a path of a weights file; None is ``"cirim"``.
    sha256
        What the file of weights must have, e.g. as an earlier result recorded it; None: anything.
    zero_shot
        Train on the scan itself before it is reconstructed: all weights, for minutes.
    adapt
        The same with few weights and steps, for seconds: `ZeroShot.everyday`.
    seed
        Of the draws of that training.

    Examples
    --------
    >>> Choice().weights is None
    True
    """

    weights: str | None = None
    sha256: str | None = None
    zero_shot: bool = False
    adapt: bool = False
    seed: int = 0

    def method(self) -> Method:
        """Return the method.

        Raises
        ------
        MissingInputError
            There is no such file.
        RefusedInputError
            The file is none of ours, or not the one that was asked for; or both ways to adapt.
        """
        if self.zero_shot and self.adapt:
            msg = "got --zero-shot and --adapt, which is a shorter one; leave one of the two out."
            raise RefusedInputError(msg)
        model = load_model(self._source)
        self._refuse_other(model)
        if not (self.zero_shot or self.adapt):
            return LearnedMethod(model)
        settings = ZeroShot.everyday() if self.adapt else ZeroShot()
        return ZeroShotMethod(model, settings, seed=self.seed)

    def refuse_unused(self, method: str) -> None:
        """Refuse flags of networks beside a method that has none.

        Raises
        ------
        RefusedInputError
            Names the flags.
        """
        given = {
            "--weights": self.weights is not None,
            "--weights-sha256": self.sha256 is not None,
            "--zero-shot": self.zero_shot,
            "--adapt": self.adapt,
        }
        if any(given.values()):
            flags = " and ".join(flag for flag, is_given in given.items() if is_given)
            msg = f"{flags} goes with --method cirim alone, got --method {method}; leave it out."
            raise RefusedInputError(msg)

    @property
    def _source(self) -> str:
        return SHIPPED[0] if self.weights is None else self.weights

    def _refuse_other(self, model: LearnedModel) -> None:
        if self.sha256 is not None and model.sha256 != self.sha256.lower():
            msg = (
                f"the weights {self._source} have sha256 {model.sha256}, and "
                f"{self.sha256} was asked for; pass the file that the record names, or leave "
                "--weights-sha256 out."
            )
            raise RefusedInputError(msg)
