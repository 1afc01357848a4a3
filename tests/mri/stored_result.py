"""A finished reconstruction of the asymmetric volume, stored without being computed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medconsist.mri.settings import KIND
from medconsist.results.schema import ModelRecord, ResultFields, Times
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score, TrustRecord
from tests.mri.posed import volume

AXES = ("slices", "height", "width")
UNIT = "units of the k-space file"
WEIGHTS = "ab" * 32
MODEL = ModelRecord(name="cirim", sha256=WEIGHTS, trained_on="simulation")


def complex_volume(image: Tensor | None = None) -> Tensor:
    """Return an image with a phase, by default `volume`; its magnitude is it but for rounding."""
    image = volume() if image is None else image
    phase = torch.linspace(-3, 3, image.numel()).reshape(image.shape)
    return torch.polar(image, phase)


def store_result(
    root: Path,
    *,
    affine: Tensor | None = None,
    spacing: tuple[float | None, ...] | None = None,
    kind: str = KIND,
    case: str = "head",
    picture: Tensor | None = None,
    mask: str | None = None,
) -> Path:
    """Store it as the current result of ``mri/head`` and return the folder of the case."""
    store = ResultStore(root, "mri")
    now = datetime(2026, 11, 23, 10, 9, 8, tzinfo=UTC)
    score = Score(name="withheld_error", value=1.25, unit="sigma^2", n=9, meaning="Fit.")
    fields = ResultFields(
        kind=kind,
        patient="p-7",
        inputs={"kspace": "12" * 32} | ({} if mask is None else {"mask": mask}),
        config={"case": case, "known": affine is not None, "spacing": str(spacing)},
        model=MODEL,
        result_version=1,
        times=Times(started=now, finished=now),
        trust=TrustRecord(scores=(score,), maps=("not_determined",)),
        notes=("Sampling mask inferred.",),
    )
    rows = None if affine is None else tuple(tuple(row) for row in affine.tolist())
    facts: dict[str, Any] = {"unit": UNIT, "spacing_mm": spacing, "orientation": rows}
    sampled = torch.zeros(1, *complex_volume(picture).shape[1:], dtype=torch.bool)
    sampled[:, :, ::4] = True
    with store.draft(case, fields.key) as draft:
        image = complex_volume(picture).numpy()
        draft.add_array("reconstruction", image, axes=AXES, method="cirim", **facts)
        draft.add_array("zerofilled", 2 * image, axes=AXES, method="zerofilled", **facts)
        draft.add_array("reference", volume().numpy(), axes=AXES, **facts)
        draft.add_array("not_determined", volume().numpy(), axes=AXES, **facts)
        draft.add_array("sampling_mask", sampled.numpy(), axes=AXES)
        draft.finish(fields)
    store.set_current(case, fields.key)
    return root / "mri" / case
