"""A benchmark that takes seconds: 32 x 32, two scans, networks of two steps."""

from typing import Any

from medconsist.mri.bench.learned.tuning import Families
from medconsist.mri.benchmark.design import Design
from medconsist.mri.methods import CgSense, CompressedSensing

FAMILIES: Families = {
    "cgsense": tuple(CgSense(lambda_=weight, iterations=4) for weight in (0.01, 0.1)),
    "cs": (CompressedSensing(iterations=5),),
}


def tiny(**changes: Any) -> Design:
    """Return the design with changes."""
    small: dict[str, Any] = {
        "size": 32,
        "networks": ("cirim", "cirim-explicit", "varnet"),
        "scans": 2,
        "validation_scans": 2,
        "training_scans": 2,
        "training_slices": 1,
        "rates": (1e-3,),
        "steps": 2,
        "families": FAMILIES,
        "lesion_cells": (),
        "only_cells": ("1-D 8x", "map error 5 %, 1-D 8x", "map error 20 %, 1-D 8x"),
    }
    return Design(**(small | changes))
