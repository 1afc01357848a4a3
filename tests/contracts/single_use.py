"""Bricks of the shared heart that fewer than two domains import, and why they are there.

A name stands here with every domain that imports it, or will, and the issue in which that began or
will begin; none, where it is there for methods of users alone. Its entry must go as soon as two
domains import it, and what an issue that is done was to bring must be there: `test_single_use.py`
sees to both.
"""

from dataclasses import dataclass

__all__ = ["DONE", "LISTED", "Use"]

DONE = 9
"""The last issue that is done."""


@dataclass(frozen=True)
class Use:
    """Which issue uses the brick in which domain, and what it is for."""

    issues: dict[str, int]
    reason: str


LISTED: dict[str, Use] = {
    # ---- one domain
    "adapt.Accept": Use({"mri": 9}, "as adapt_episode"),
    "adapt.Fall": Use({"mri": 9}, "as adapt_episode"),
    "adapt.Report": Use({"mri": 9}, "as adapt_episode"),
    "adapt.adapt_episode": Use({"mri": 9}, "one case: a few parameters, kept only if they gain"),
    "adapt.improves_by": Use({"mri": 4}, "acceptance by withheld samples"),
    "agreement.cauchy": Use({"mri": 4}, "residuals with spikes"),
    "agreement.gate_correct": Use({"wsi": 7}, "MHIM skips bags on which the teacher is wrong"),
    "agreement.mad_scale": Use({"mri": 4}, "scale of the robust losses"),
    "agreement.mse": Use({"mri": 4}, "reconstruction; pretext tasks that rebuild"),
    "agreement.pseudo_huber": Use({"mri": 4}, "residuals with spikes"),
    "agreement.relative_l1l2": Use(
        {"mri": 4}, "SSDU's published loss: the baseline that every robust loss is compared with"
    ),
    "agreement.soft_ce": Use({"wsi": 7}, "MHIM's teacher"),
    "collapse.LeaveOneOut": Use({"timeseries": 8}, "as knn_loo"),
    "collapse.NBProbe": Use({"timeseries": 8}, "curves of few labels, on the CPU"),
    "collapse.knn_loo": Use({"timeseries": 8}, "probe of identity"),
    "collapse.rankme": Use({"timeseries": 8}, "checkpoints without labels"),
    "contrast.masked_info_nce": Use(
        {"timeseries": 8}, "CLOCS: other recordings of a patient are no negatives"
    ),
    "contrast.multi_scale": Use({"timeseries": 8}, "COMET's hierarchy over time"),
    "dense_contrast.dense_info_nce": Use(
        {"timeseries": 8}, "COMET at all time steps of all rows: no other bag of keys is as large"
    ),
    "ordering.ordered_groups": Use({"timeseries": 8}, "view >= trial >= patient >= other"),
    "prototypes.Prototypes": Use({"wsi": 7}, "class centres of INS; signals only by experiment"),
    "prototypes.RingBank": Use({"wsi": 5}, "keys of MoCo, queue of INS; signals by experiment"),
    "schedules.Schedule": Use({"wsi": 7}, "the type of every scheduled field"),
    "schedules.cosine": Use({"wsi": 7}, "MHIM's mask ratio; learning rates, by `training`"),
    "schedules.ema_warmup": Use({"wsi": 5}, "MoCo's teacher; averaged weights, by `training`"),
    "schedules.linear": Use({"wsi": 7}, "phi of INS; weight of a loss"),
    "splits.Split": Use({"mri": 2}, "withheld samples"),
    "splits.random_split": Use({"mri": 2}, "SSDU and withheld evidence"),
    "splits.topk_hold": Use({"wsi": 7}, "topk_split in the inner loop of MHIM"),
    "style.batch_style": Use({"wsi": 8}, "stain and scanner, in the recipe of tile encoders"),
    "teacher.Teacher": Use({"wsi": 5}, "evaluated or teaching weights"),
    # ---- none: for methods of users, by the specification of the shared heart
    "agreement.cauchy_weight": Use(
        {}, "reweights data consistency with spikes; no recipe of ours solves with it"
    ),
    "agreement.cosine": Use({}, "agreement of features"),
    "agreement.gate_confident": Use({}, "pseudo-labels"),
    "agreement.huber": Use({}, "regression; no network of the MRI comparison trains with it"),
    "agreement.huber_weight": Use({}, "as cauchy_weight"),
    "agreement.kl": Use({}, "teacher and student on unlabelled cases"),
    "agreement.pseudo_huber_weight": Use({}, "as cauchy_weight"),
    "collapse.alignment": Use({}, "collapse of an encoder in training"),
    "collapse.alpha_req": Use({}, "as rankme"),
    "collapse.knn_probability": Use({}, "probe on held-out rows"),
    "collapse.uniformity": Use({}, "as alignment"),
    "ordering.groco": Use({}, "retrieval: similar cases before others"),
    "ordering.soft_sort": Use({}, "the network under both losses of this module"),
    "schedules.as_lr_lambda": Use({}, "learning rates, by `training`"),
    "schedules.constant": Use({}, "a fixed number where a schedule fits, by `training`"),
    "schedules.doubling": Use({}, "a curriculum over time-steps or acceleration"),
    "schedules.sigmoid_ramp": Use({}, "ramp of a consistency weight"),
    "splits.apply_mask": Use({}, "masked modelling of tiles or time"),
    "splits.block_mask": Use({}, "masked modelling: blocks of a grid"),
    "splits.topk_split": Use(
        {}, "the split of highest scores for any method; MHIM needs its inner loop alone"
    ),
}
