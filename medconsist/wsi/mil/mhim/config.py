"""How MHIM-MIL trains, and the settings of its papers by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, get_args

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.mhim.masking import Course, MaskConfig
from medconsist.wsi.mil.mhim.merge import MergeConfig
from medconsist.wsi.mil.mhim.scores import Scores

__all__ = ["PRESETS", "MhimConfig"]

Start = Literal["fc", "random"]
Gate = Literal["always", "correct"]
TeacherDropout = Literal["off", "train"]


@dataclass(frozen=True, kw_only=True)
class MhimConfig:
    """One run of MHIM-MIL, v1 or v2, or what lies between.

    Parameters
    ----------
    mask
        What is hidden from the student.
    scores
        By what; see `teacher_scores`, or ``"given"`` with a function of bags and labels.
    merge
        v2's global recycle after the mask; None is v1.
    alpha
        Weight of the agreement of the bag features, at least 0.
    tau_teacher, tau_student
        Temperatures of the two softmaxes over the bag feature, positive.
    momentum
        Share of the old teacher, in [0, 1].
    momentum_course
        ``"cosine"`` raises it to 1 over ``steps``, half a cosine from the first update on.
    teacher_dropout
        ``"train"``: the teacher drops out while the student learns, as v1 does.
    student_start
        ``"fc"``: the student starts with the teacher's first linear layer; ``"random"``.
    gate
        ``"correct"``: only bags that the teacher gets right count in the agreement (MDCS,
        arXiv:2308.09922).
    lookahead
        Virtual steps of FST-D (arXiv:2209.06993) after which the future teacher answers, each as
        costly as a real one; 0 for none. Benefit not shown in MIL.
    steps
        Optimiser steps of the run, for the courses; :meth:`over` sets it here and in ``mask``.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> PRESETS["c16-abmil"].over(1000).version
    'v1'
    """

    mask: MaskConfig = field(default_factory=lambda: MaskConfig(high=0.01))
    scores: Scores = "attention"
    merge: MergeConfig | None = None
    alpha: float | int = 0.1
    tau_teacher: float | int = 0.1
    tau_student: float | int = 1.0
    momentum: float | int = 0.9999
    momentum_course: Course = "constant"
    teacher_dropout: TeacherDropout = "train"
    student_start: Start = "fc"
    gate: Gate = "always"
    lookahead: int = 0
    steps: int | None = None

    def __post_init__(self) -> None:
        self._require_words()
        taus = min(self.tau_teacher, self.tau_student) > 0
        in_range = 0 <= self.alpha < math.inf and taus and 0 <= self.momentum <= 1
        if not in_range or self.lookahead < 0 or (self.steps is not None and self.steps < 1):
            msg = (
                f"alpha, tau_teacher, tau_student, momentum, lookahead and steps got {self.alpha}, "
                f"{self.tau_teacher}, {self.tau_student}, {self.momentum}, {self.lookahead} and "
                f"{self.steps}; allowed: 0 or more, two positive numbers, a share in [0, 1], 0 or "
                "more, 1 or more."
            )
            raise RefusedInputError(msg)

    @property
    def version(self) -> Literal["v1", "v2"]:
        """``"v2"`` where survivors are merged."""
        return "v1" if self.merge is None else "v2"

    @property
    def needs_steps(self) -> bool:
        """Whether a course is asked for, and not over how many steps."""
        mask = self.mask.course == "cosine" and self.mask.steps is None
        return mask or (self.momentum_course == "cosine" and self.steps is None)

    def over(self, steps: int) -> "MhimConfig":
        """Return the same for a run of so many optimiser steps."""
        return replace(self, steps=steps, mask=self.mask.over(steps))

    def _require_words(self) -> None:
        words = (
            ("scores", Scores),
            ("momentum_course", Course),
            ("teacher_dropout", TeacherDropout),
            ("student_start", Start),
            ("gate", Gate),
        )
        for name, allowed in words:
            if getattr(self, name) not in get_args(allowed):
                msg = (
                    f"{name} got {getattr(self, name)!r}; allowed: {', '.join(get_args(allowed))}."
                )
                raise RefusedInputError(msg)


def _v1(
    random: float, low: float, high: float, rho: float, *, alpha: float, course: Course
) -> MhimConfig:
    mask = MaskConfig(random=random, low=low, high=high, rho=rho, course="cosine")
    return MhimConfig(mask=mask, alpha=alpha, momentum_course=course)


def _v2(scores: Scores = "class_aware") -> MhimConfig:
    return MhimConfig(
        mask=MaskConfig(high=0.03),
        scores=scores,
        merge=MergeConfig(),
        alpha=0.5,
        momentum=0.9997,
        teacher_dropout="off",
        student_start="random",
    )


_C16_ABMIL = _v1(0.5, 0.0, 0.01, 0.5, alpha=0.1, course="constant")
_NSCLC_ABMIL = _v1(0.7, 0.2, 0.02, 1.0, alpha=0.5, course="cosine")

#: Settings by name. ``c16-...`` and ``nsclc-...``: the run scripts of the released code of v1
#: (branch v1, 5377eb6; arXiv:2307.15254), where DSMIL takes the rows of ABMIL. ``v2``: the middle
#: of the grids of the released code of v2 (9d0c91a; arXiv:2509.11526: h of .01, .03 or .05, keep of
#: .8 or .9, 1, 5 or 10 queries) with the bias as meant and no dropout in the teacher, as meant
#: there too; ``v2-released-bias`` with the bias of class 0.
PRESETS: Mapping[str, MhimConfig] = MappingProxyType(
    {
        "c16-abmil": _C16_ABMIL,
        "c16-transmil": _v1(0.0, 0.8, 0.03, 0.5, alpha=0.1, course="cosine"),
        "c16-dsmil": _C16_ABMIL,
        "nsclc-abmil": _NSCLC_ABMIL,
        "nsclc-transmil": _v1(0.6, 0.2, 0.02, 1.0, alpha=0.5, course="constant"),
        "nsclc-dsmil": _NSCLC_ABMIL,
        "v2": _v2(),
        "v2-released-bias": _v2("class_aware_class_0"),
    }
)
