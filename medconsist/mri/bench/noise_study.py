"""Networks that are shown the noise level or not, trained on scans of many levels or of one."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.learned.tuning import Families
from medconsist.mri.benchmark.design import Design
from medconsist.mri.benchmark.entrants import Entrant
from medconsist.mri.benchmark.training import Material, Outcome, train_entrant
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.draw_seeds import Role, draw_seed
from medconsist.mri.learned.draws import MaskDraw
from medconsist.mri.learned.networks import stored_architecture
from medconsist.mri.methods import CompressedSensing
from medconsist.mri.scan_pool import PoolConfig, ScanPool, load_pool
from medconsist.mri.simulate import generator_hash
from medconsist.results.kept import KeptFolder

__all__ = ["ARMS", "AWARE", "BLIND", "FIXED", "HEADS", "SPECIAL", "Arm", "NoiseStudy", "Training"]
__all__ += ["MASKS", "train"]

AWARE, BLIND, SPECIAL = "aware", "blind", "trained at SNR 30"
FIXED = 5.0
"""SNR of the contrast that was named beforehand: the lowest of training."""

HEADS = 24
MASKS = MaskDraw(acceleration=(2.0, 4.0))
"""Of training and test: mild ones, so that aliasing does not hide the noise."""

LEAST_SCANS = 2  # of which a paired interval can be made
RESULT_VERSION = 1  # raised when figures of the same study change
_AS_THEY_ARE = (1.0, 1.0)  # the level of a slice is that of its scan
_VALIDATION_SLICES = 6  # looked at once, at the end: nothing is chosen on them


@dataclass(frozen=True)
class Arm:
    """How a network is trained.

    Parameters
    ----------
    name
        As rows say it.
    is_shown
        Whether it is shown the noise level, as a fifth channel beside image and gradient.
    snr
        Least and largest of its training scans.

    Examples
    --------
    >>> ARMS["aware"].snr
    (5.0, 60.0)
    """

    name: str
    is_shown: bool
    snr: tuple[float, float]


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        one.name: one
        for one in (
            Arm(AWARE, is_shown=True, snr=(FIXED, 60.0)),
            Arm(BLIND, is_shown=False, snr=(FIXED, 60.0)),
            Arm(SPECIAL, is_shown=False, snr=(30.0, 30.0)),
        )
    }
)


@dataclass(frozen=True, kw_only=True)
class NoiseStudy:
    """What is trained and judged; the defaults are for 12 minutes of one core of 2026.

    Parameters
    ----------
    minutes
        Core-minutes of each training.
    trainings
        Of each arm, with first weights and order of slices of their own.
    training_scans, training_slices
        Of the pool that an arm is trained on; heads and coils are the same for all arms.
    validation_scans
        On which the weight of compressed sensing is chosen, at each SNR.
    scans
        Test scans, each at every SNR.
    size
        Rows and columns, a multiple of 32.
    snr
        At which scans are judged; some lie outside training.
    network
        Architecture of all arms, but for the noise level: hidden states are carried from cascade to
        cascade.
    lr
        Learning rate of all.
    families
        Candidates of compressed sensing.
    seed
        Series of the scans; first weights are of ``seed``, ``seed + 1``, ...
    steps
        Of every training in place of a budget, for tests.

    Raises
    ------
    RefusedInputError
        A number that is not allowed.

    Examples
    --------
    >>> len(NoiseStudy(trainings=2).all_trainings)
    6
    """

    minutes: float | int = 1.5
    trainings: int = 2
    training_scans: int = 80
    training_slices: int = 2
    validation_scans: int = 6
    scans: int = HEADS
    size: int = 64
    snr: tuple[float, ...] = (3.0, FIXED, 10.0, 20.0, 40.0, 60.0, 100.0)
    network: CirimConfig = field(
        default_factory=lambda: CirimConfig(cascades=4, steps=1, features=16)
    )
    lr: float = 5e-3
    families: Families = field(
        default_factory=lambda: {
            "cs": tuple(
                CompressedSensing(lambda_=weight)
                for weight in (0.001, 0.002, 0.004, 0.007, 0.012, 0.02, 0.035, 0.06, 0.1)
            )
        }
    )
    seed: int = 0
    steps: int | None = None

    def __post_init__(self) -> None:
        counts = (self.trainings, self.training_scans, self.training_slices, self.steps or 1)
        least = min(self.scans, self.validation_scans)
        if least < LEAST_SCANS or min(counts) < 1 or not 0 < self.minutes < math.inf:
            msg = (
                f"got {self.scans} test scans, {self.validation_scans} for validation and "
                f"{self.trainings} trainings of {self.minutes} minutes on {self.training_scans} "
                f"scans of {self.training_slices} slices; allowed: at least {LEAST_SCANS} scans of "
                "each kind, since differences need an interval, and 1 of everything else."
            )
            raise RefusedInputError(msg)
        if FIXED not in self.snr or not all(0 < one < math.inf for one in self.snr):
            msg = f"snr got {self.snr}; allowed: positive numbers, {FIXED:g} among them."
            raise RefusedInputError(msg)
        draw_seed("training", 0, series=self.seed + self.trainings - 1)
        self.design  # noqa: B018  refuses size and rate

    @property
    def design(self) -> Design:
        """Budget, size and rate of a training, as `train_entrant` takes them."""
        return Design(
            minutes=self.minutes,
            size=self.size,
            rates=(self.lr,),
            small_share=0,  # slices at half the resolution have half the noise
            seed=self.seed,
            steps=self.steps,
        )

    @property
    def all_trainings(self) -> tuple["Training", ...]:
        """Each arm as often as it is trained; those of one number are beside each other."""
        return tuple(Training(arm, n) for n in range(self.trainings) for arm in ARMS)

    def as_config(self) -> dict[str, Any]:
        """Return all of it as JSON takes it, with the generator of the scans."""
        members = {
            name: [one.as_config() for one in found] for name, found in self.families.items()
        }
        return asdict(self) | {
            "network": stored_architecture(self.network),
            "families": members,
            "masks": asdict(MASKS),
            "arms": [asdict(arm) for arm in ARMS.values()],
            "generator": generator_hash(),
            "result_version": RESULT_VERSION,
        }

    def pool(self, arm: Arm, role: Role, folder: Path) -> ScanPool:
        """Return the slices of an arm, made once: the same heads and coils at its SNR."""
        is_training = role == "training"
        config = PoolConfig(
            scans=self.training_scans if is_training else _VALIDATION_SLICES,
            slices=self.training_slices if is_training else 1,
            size=self.size,
            snr=arm.snr,
            role=role,
            seed=self.seed,
        )
        return load_pool(config, folder)


@dataclass(frozen=True)
class Training:
    """One training of an arm.

    Parameters
    ----------
    arm
        Its name in `ARMS`.
    number
        0, 1, ...

    Examples
    --------
    >>> Training("trained at SNR 30", 1).slug
    'trained-at-SNR-30-1'
    """

    arm: str
    number: int

    @property
    def slug(self) -> str:
        """As its folder is called."""
        return f"{self.arm} {self.number}".replace(" ", "-")


def train(study: NoiseStudy, kept: KeptFolder, training: Training) -> Outcome:
    """Train one network, or return what is kept of it; see `train_entrant`."""
    arm, pools = ARMS[training.arm], kept.path / "pools"
    network = replace(study.network, noise_input=arm.is_shown)
    entrant = Entrant(name=training.slug, network=network, views=("time",), weighting="logspace")
    material = Material(
        study.pool(arm, "training", pools),
        study.pool(arm, "validation", pools),
        masks=MASKS,
        noise=_AS_THEY_ARE,
    )
    design = replace(study.design, seed=study.seed + training.number)
    return train_entrant(design, entrant, kept, material)
