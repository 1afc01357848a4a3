"""Bricks of the shared heart that fewer than two domains import, and why they are there.

A name stands here with every domain that it is built for and the issue in which that domain will
import it. One domain: the brick stays single-use, for the reason given. Two or more: it waits for
them, and its entry must go as soon as two of them import it; `test_single_use.py` sees to both.
"""

from dataclasses import dataclass

__all__ = ["LISTED", "Use"]


@dataclass(frozen=True)
class Use:
    """Which issue uses the brick in which domain, and what for."""

    issues: dict[str, int]
    reason: str


LISTED: dict[str, Use] = {
    # ---- one domain, and no other expected
    "agreement.cauchy_weight": Use(
        {"mri": 9}, "reweights data consistency, and no other domain solves for a measurement"
    ),
    "agreement.huber_weight": Use({"mri": 9}, "as cauchy_weight"),
    "agreement.pseudo_huber_weight": Use({"mri": 9}, "as cauchy_weight"),
    "agreement.relative_l1l2": Use(
        {"mri": 4}, "SSDU's published loss: the baseline that every robust loss is compared with"
    ),
    "agreement.gate_correct": Use({"wsi": 7}, "MHIM skips bags on which the teacher is wrong"),
    "dense_contrast.dense_info_nce": Use(
        {"timeseries": 8}, "COMET at all time steps of all rows: no other bag of keys is as large"
    ),
    "contrast.multi_scale": Use({"timeseries": 8}, "COMET's hierarchy over time"),
    "prototypes.Prototypes": Use({"wsi": 7}, "class centres of INS; signals only by experiment"),
    "prototypes.RingBank": Use({"wsi": 5}, "keys of MoCo, queue of INS; signals by experiment"),
    "schedules.doubling": Use({"mri": 9}, "number of time-steps or acceleration as a curriculum"),
    "splits.topk_hold": Use({"wsi": 7}, "topk_split in the inner loop of MHIM"),
    "splits.topk_split": Use({"wsi": 7}, "MHIM hides the instances of highest attention"),
    # ---- two domains or more, in issues still to come
    "adapt.Accept": Use({"mri": 9, "timeseries": 8}, "as adapt_episode"),
    "adapt.Report": Use({"mri": 9, "timeseries": 8}, "as adapt_episode"),
    "adapt.adapt_episode": Use(
        {"mri": 9, "wsi": 10, "timeseries": 8}, "one scan, slide or recording: a few parameters"
    ),
    "adapt.improves_by": Use({"mri": 8, "timeseries": 8}, "acceptance by the withheld samples"),
    "agreement.cauchy": Use({"mri": 4, "timeseries": 8}, "spikes; electrode pops"),
    "agreement.cosine": Use({"wsi": 7, "timeseries": 8}, "agreement of features"),
    "agreement.gate_confident": Use({"wsi": 7, "timeseries": 8}, "pseudo-labels, few labels"),
    "agreement.huber": Use({"timeseries": 8, "mri": 9}, "regression; a comparator's loss"),
    "agreement.kl": Use({"wsi": 7, "timeseries": 8}, "teacher and student on unlabelled cases"),
    "agreement.mad_scale": Use({"mri": 4, "timeseries": 8}, "scale of the robust losses"),
    "agreement.mse": Use({"mri": 4, "timeseries": 8}, "reconstruction; baselines that rebuild"),
    "agreement.pseudo_huber": Use({"mri": 4, "wsi": 7}, "residuals; features of artefact tiles"),
    "agreement.soft_ce": Use({"wsi": 7, "timeseries": 8}, "MHIM; distillation in fine-tuning"),
    "collapse.LeaveOneOut": Use({"wsi": 10, "timeseries": 8}, "as knn_loo"),
    "collapse.NBProbe": Use({"wsi": 10, "timeseries": 8}, "few-label curves, on the CPU"),
    "collapse.alignment": Use({"wsi": 10, "timeseries": 8}, "collapse of an encoder in training"),
    "collapse.alpha_req": Use({"wsi": 10, "timeseries": 8}, "as rankme"),
    "collapse.knn_loo": Use({"wsi": 10, "timeseries": 8}, "identity probe; screening of encoders"),
    "collapse.knn_probability": Use({"wsi": 10, "timeseries": 8}, "probe on held-out rows"),
    "collapse.rankme": Use({"wsi": 10, "timeseries": 8}, "checkpoints without labels"),
    "collapse.uniformity": Use({"wsi": 10, "timeseries": 8}, "as alignment"),
    "contrast.masked_info_nce": Use({"wsi": 7, "timeseries": 8}, "INS; CLOCS"),
    "ordering.groco": Use({"wsi": 10, "timeseries": 8}, "retrieval: similar slides, beats"),
    "ordering.ordered_groups": Use(
        {"wsi": 10, "timeseries": 8}, "view >= trial >= patient >= other; slide >= patient >= other"
    ),
    "ordering.soft_sort": Use({"wsi": 10, "timeseries": 8}, "the network under both losses"),
    "schedules.Schedule": Use({"wsi": 7, "timeseries": 8}, "the type of every scheduled field"),
    "schedules.as_lr_lambda": Use({"wsi": 7, "timeseries": 8}, "learning rates, by `training`"),
    "schedules.constant": Use({"wsi": 7, "timeseries": 8}, "a fixed number where a schedule fits"),
    "schedules.cosine": Use({"wsi": 7, "timeseries": 8}, "MHIM's mask ratio; learning rates"),
    "schedules.ema_warmup": Use({"wsi": 5, "timeseries": 8}, "MoCo's teacher; averaged weights"),
    "schedules.linear": Use({"wsi": 7, "timeseries": 8}, "phi of INS; weight of a loss"),
    "schedules.sigmoid_ramp": Use({"wsi": 7, "timeseries": 8}, "ramp of a consistency weight"),
    "splits.Split": Use({"mri": 2, "wsi": 7}, "withheld samples; hidden instances"),
    "splits.apply_mask": Use({"wsi": 7, "timeseries": 8}, "hidden instances; hidden time steps"),
    "splits.block_mask": Use({"wsi": 7, "timeseries": 8}, "tiles of an image; spans of time"),
    "splits.random_split": Use({"mri": 2, "wsi": 7}, "SSDU and withheld evidence; MHIM's random"),
    "style.batch_style": Use({"wsi": 8, "timeseries": 8}, "stain, scanner; front end"),
    "teacher.Teacher": Use({"wsi": 5, "timeseries": 8}, "evaluated or teaching weights"),
}
