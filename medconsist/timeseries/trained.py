"""A model folder for signals: by probe or fine-tuning, calibrated on patients, with a card."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medconsist._atomic import make_folder
from medconsist._digests import canonical_json, plain_json, sha256_of_bytes
from medconsist._records import make_record
from medconsist.errors import RefusedInputError
from medconsist.results.environment import environment
from medconsist.timeseries.calibrated import calibrated
from medconsist.timeseries.encoders import digest_of_weights, refuse_other_size
from medconsist.timeseries.evaluation.probes import LogisticProbe
from medconsist.timeseries.finetuning import WindowClassifier
from medconsist.timeseries.label_budget import DrawnLabels, LabelBudget, Rows, drawn_labels
from medconsist.timeseries.patient_model import (
    PatientModel,
    ProbeClassifier,
    evidence_of,
)
from medconsist.timeseries.pooling import AttentionConfig, Evidence, train_attention
from medconsist.timeseries.pretext import Pretext
from medconsist.timeseries.reference import Reference
from medconsist.timeseries.signal_card import (
    CARD_NAME,
    SignalCard,
    read_signal_card,
    write_signal_card,
)
from medconsist.timeseries.signal_model import (
    LEADS_NAME,
    REFERENCE_NAME,
    WEIGHTS_NAME,
    SignalData,
    SignalModel,
    load_signal_model,
    patients_of,
)
from medconsist.timeseries.starts import Start
from medconsist.timeseries.supervised import Finetuning, training_digest
from medconsist.timeseries.withheld_leads import WithheldLeads
from medconsist.training.draws import generator_for
from medconsist.training.run_folder import differing
from medconsist.training.weights import save_weights

__all__ = ["finetune", "fit_probe"]

_LABELS, _ATTENTION = 0, 1  # places of random numbers
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What both ways of training share."""

    data: SignalData
    out: Path
    method: Literal["probe", "finetuned", "scratch", "eegnet"]
    encoder: str
    settings: Mapping[str, Any]
    budget: LabelBudget = field(default_factory=LabelBudget)
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    alpha: float = 0.1
    seed: int = 0

    def finished(self) -> SignalModel | None:
        """Return the model that is there already; refuse that of another recipe."""
        if not (self.out / CARD_NAME).is_file():
            make_folder(self.out)
            return None
        differ = differing(read_signal_card(self.out).training, self.resolved())
        if differ:
            msg = (
                f"{self.out} holds a finished model of another recipe: "
                f"{', '.join(differ[:_SHOWN])} differ (its card.json says what they were). Choose "
                "another folder."
            )
            raise RefusedInputError(msg)
        return load_signal_model(self.out)

    def resolved(self) -> dict[str, Any]:
        return plain_json(
            {
                "method": self.method,
                "encoder": self.encoder,
                "settings": dict(self.settings),
                "budget": asdict(self.budget),
                "attention": asdict(self.attention),
                "alpha": self.alpha,
                "seed": self.seed,
                "data": {n: training_digest(w, None) for n, w in self.data.parts.items()},
                "split_sha256": self.data.split_sha256,
            },
            "training",
        )

    def labelled(self) -> tuple[Rows, DrawnLabels]:
        return drawn_labels(
            self.data.train, self.budget, generator=generator_for(self.seed, _LABELS)
        )


def fit_probe(
    encoder: Pretext,
    data: SignalData,
    out: Path,
    *,
    name: str = "pre-trained encoder",
    budget: LabelBudget | None = None,
    probe: LogisticProbe | None = None,
    attention: AttentionConfig | None = None,
    alpha: float = 0.1,
    seed: int = 0,
) -> SignalModel:
    """Put a logistic probe and attention over trials on a frozen encoder: partial fine-tuning.

    Parameters
    ----------
    encoder
        In eval mode, e.g. of `load_pretext`; stays as it is.
    data
        See `SignalData`; the reference set is of all training patients, labelled or not.
    out
        The model folder; ``card.json`` comes last. A finished one of this recipe is returned.
    name
        What the encoder is called.
    budget
        Labels that may be seen; None: all.
    probe, attention
        See `LogisticProbe` and `AttentionConfig`.
    alpha
        Of the conformal sets.
    seed
        Of the budget and of attention.

    Raises
    ------
    RefusedInputError
        The folder holds another model, or what budget, probe and calibration refuse.
    StorageError
        The disk is full or not writable.
    """
    refuse_other_size(encoder, data.train)
    probe = probe or LogisticProbe()
    recipe = _Recipe(
        data=data,
        out=out,
        method="probe",
        encoder=name,
        settings={"probe": asdict(probe), "encoder_sha256": digest_of_weights(encoder)},
        budget=budget or LabelBudget(),
        attention=attention or AttentionConfig(),
        alpha=alpha,
        seed=seed,
    )
    done = recipe.finished()
    if done is not None:
        return done
    classifier = ProbeClassifier(encoder, classes=len(data.train.table.classes)).eval()
    parts = {part: evidence_of(classifier, windows) for part, windows in data.parts.items()}
    rows, drawn = recipe.labelled()
    known = parts["train"].take(rows)
    apply = probe.fit(known.features.double().numpy(), known.table.label, classifier.classes)
    classifier.copy_probe(apply)
    said = {
        part: Evidence(one.features, classifier.classify(one.features), one.table)
        for part, one in parts.items()
    }
    return _finish(recipe, classifier, said, rows, drawn)


def finetune(
    start: Start,
    data: SignalData,
    out: Path,
    *,
    how: Finetuning | None = None,
    budget: LabelBudget | None = None,
    attention: AttentionConfig | None = None,
    alpha: float = 0.1,
    seed: int = 0,
    progress: bool = True,
) -> SignalModel:
    """Train encoder and head on labelled windows, then attention over trials: full fine-tuning.

    Parameters
    ----------
    start
        `RandomStart`, `EegNetStart`, `PretrainedStart` or `GivenStart`.
    data, out, budget, attention, alpha, seed
        As of `fit_probe`; a training that was killed goes on.
    how
        See `Finetuning`.
    progress
        Show steps and loss on stderr.

    Raises
    ------
    RefusedInputError
        As `fit_probe`, and what the training refuses.
    StorageError
        The disk is full or not writable.
    """
    how = how or Finetuning()
    settings = {name: value for name, value in asdict(how).items() if name != "device"}
    recipe = _Recipe(
        data=data,
        out=out,
        method=start.kind,
        encoder=start.name,
        settings={"finetuning": settings, "start": start.facts()},
        budget=budget or LabelBudget(),
        attention=attention or AttentionConfig(),
        alpha=alpha,
        seed=seed,
    )
    done = recipe.finished()
    if done is not None:
        return done
    rows, drawn = recipe.labelled()
    # pre-training, if any, sees the windows of all training patients and no label
    make = start.encoder(data.train, out, seed=seed)
    classifier = how.run(
        make,
        data.train.take(rows),
        data.validation,
        out / "run",
        recipe={"labels": drawn.rows_sha256, **recipe.resolved()},
        seed=seed,
        progress=progress,
    )
    parts = {part: evidence_of(classifier, windows) for part, windows in data.parts.items()}
    return _finish(recipe, classifier, parts, rows, drawn)


def _finish(
    recipe: _Recipe,
    classifier: ProbeClassifier | WindowClassifier,
    parts: Mapping[str, Evidence],
    rows: Rows,
    drawn: DrawnLabels,
) -> SignalModel:
    """Train attention, calibrate, and write weights, reference, leads and, last, the card."""
    data = recipe.data
    pool = train_attention(
        parts["train"].take(rows),
        parts["validation"],
        recipe.attention,
        generator=generator_for(recipe.seed, _ATTENTION),
    )
    network = PatientModel(classifier, pool)
    logits = {name: one.pooled(pool).detach() for name, one in parts.items()}
    labels = {name: one.labels for name, one in parts.items()}
    reference_sha256 = Reference.of(parts["train"]).save(recipe.out / REFERENCE_NAME)
    leads_sha256 = WithheldLeads.of(data.train).save(recipe.out / LEADS_NAME)
    weights_sha256 = save_weights(
        recipe.out / WEIGHTS_NAME,
        network.state_dict(),
        architecture=network.architecture(),
        about={"trained_on": drawn.sentence, "reference_sha256": reference_sha256},
    )
    found = calibrated(logits, labels, alpha=recipe.alpha)
    card = make_record(
        SignalCard,
        method=recipe.method,
        encoder=recipe.encoder,
        weights_sha256=weights_sha256,
        reference_sha256=reference_sha256,
        leads_sha256=leads_sha256,
        classes=data.train.table.classes,
        preparation=data.preparation,
        study=data.study,
        windows_fingerprint=data.train.fingerprint,
        split_sha256=data.split_sha256,
        patients_sha256=sha256_of_bytes(canonical_json(list(patients_of(data.train)))),
        patients={name: len(patients_of(windows)) for name, windows in data.parts.items()},
        trials={n: len(np.unique(windows.table.trial)) for n, windows in data.parts.items()},
        labels=drawn,
        temperature=found.temperature,
        operating_point=found.point,
        sets=found.sets,
        validation=found.scores,
        training=recipe.resolved(),
        environment=environment(),
        notes=(drawn.sentence, *_notes(recipe, drawn), *found.notes, *data.notes),
    )
    write_signal_card(recipe.out, card)
    return load_signal_model(recipe.out)


def _notes(recipe: _Recipe, drawn: DrawnLabels) -> list[str]:
    notes = []
    if drawn.unit != "all":
        chose = len(patients_of(recipe.data.validation))
        notes.append(
            f"Beside these, the labels of {chose} validation patients chose and calibrated the "
            "model: they are no part of the budget."
        )
    if recipe.method != "probe":
        notes.append(
            "The encoder was trained on the reference trials, so that new recordings look farther "
            "from them than they are."
        )
    return notes
