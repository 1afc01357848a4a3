"""What decides the bytes of a reconstruction result, apart from its input."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medconsist.errors import RefusedInputError
from medconsist.mri.methods import CgSense, CompressedSensing, Method, Zerofilled
from medconsist.mri.prepare import PrepareConfig
from medconsist.mri.trust import TrustConfig
from medconsist.mri.uncertainty.settings import Uncertainty

__all__ = ["KIND", "Reconstruction"]

KIND = "mri.reconstruction"


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """The settings of one reconstruction; they make the key together with the input.

    Parameters
    ----------
    method
        The one that is shown as the reconstruction and that the trust record is about.
    comparators
        Methods that are shown beside it, each under its name; the method itself is left out.
        Beside a network there is always compressed sensing, by which it is judged.
    combine
        ``"rss"``: root sum of squares without maps, for zero-filled images alone; it has neither
        comparators nor a trust record.
    prepare, trust
        See their classes.
    seed
        Of every random draw.
    uncertainty
        Map of the method that was asked for; None writes none.

    Raises
    ------
    RefusedInputError
        ``combine`` does not go with the method, or ``prepare`` says what it would not use, or
        uncertainty of steps is asked of a method without a network.

    Examples
    --------
    >>> from medconsist.mri.methods import CompressedSensing
    >>> [role for role in Reconstruction(method=CompressedSensing()).by_role]
    ['reconstruction', 'zerofilled', 'cgsense']
    """

    method: Method
    comparators: tuple[Method, ...] = (Zerofilled(), CgSense())
    combine: Literal["sense", "rss"] = "sense"
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    seed: int = 0
    uncertainty: Uncertainty | None = None

    def __post_init__(self) -> None:
        self._refuse_unmade_uncertainty()
        if self.combine == "rss" and self.method.name != "zerofilled":
            msg = (
                f"--combine rss goes with --method zerofilled alone, got --method "
                f"{self.method.name}; {self.method.name} combines coils by their maps."
            )
            raise RefusedInputError(msg)
        if self.combine == "rss" and self.prepare != PrepareConfig():
            msg = (
                "--combine rss takes all coils as they are and needs no maps; leave --coils and "
                "--map-sets out."
            )
            raise RefusedInputError(msg)

    def _refuse_unmade_uncertainty(self) -> None:
        if self.uncertainty is None:
            return
        if self.combine == "rss":
            msg = "--combine rss has no uncertainty; leave --uncertainty out."
            raise RefusedInputError(msg)
        if self.uncertainty.kind == "steps" and not self.method.learned:
            msg = (
                f"--uncertainty steps is of a network, got --method {self.method.name}; take "
                "replica or splits."
            )
            raise RefusedInputError(msg)

    def refuse_unused_maps(self) -> None:
        """Refuse coil maps from a file where they would not be used, or not be estimated.

        Raises
        ------
        RefusedInputError
            Root sum of squares, or settings of the estimation of maps.
        """
        if self.combine == "rss":
            msg = "--combine rss uses no maps; leave --maps out, or take --combine sense."
            raise RefusedInputError(msg)
        if self.prepare.espirit != PrepareConfig().espirit:
            msg = (
                "--map-sets is for maps that are estimated, and --maps brings its own sets; leave "
                "one of the two out."
            )
            raise RefusedInputError(msg)

    @property
    def by_role(self) -> dict[str, Method]:
        """Role of each image to the method that makes it."""
        others = {m.name: m for m in self.comparators if m.name != self.method.name}
        if self.method.learned:
            others.setdefault(CompressedSensing.name, CompressedSensing())
        return {"reconstruction": self.method, **({} if self.combine == "rss" else others)}

    def as_config(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        methods = {role: m.as_config() for role, m in self.by_role.items()}
        # the keys of results without a map stay what they were
        chosen = {} if self.uncertainty is None else {"uncertainty": self.uncertainty.as_config()}
        return {
            "task": KIND,
            "methods": methods,
            "combine": self.combine,
            "prepare": asdict(self.prepare),
            "trust": asdict(self.trust),
            "seed": self.seed,
            **chosen,
        }
