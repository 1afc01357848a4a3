"""INS on features: an instance classifier with an attention head for its bag."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.networks.attention_pool import AttentionScore
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.ins.bag_score import instance_probability, pooled_probability
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.instances import InstanceModel
from medconsist.wsi.mil.models.base import MilModel, MilSize, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["InsNetwork"]


class InsNetwork(MilModel):
    r"""What INS leaves: each instance's class, and an attention head over its encoder.

    The encoder is ``dim - width - width`` with ReLU after both layers. Instance scores are the
    logits of the instance classifier; the bag's logits are :math:`W \sum_i a_i h_i + b` with
    `AttentionScore` for a. Its probabilities come from there, or from instance probabilities, as
    `InsConfig.predict` says.

    The released feature script folds 512 numbers into a picture of 3 x 32 x 16 for a ResNet18
    instead; the order of features has no neighbours, and that is not built.

    Parameters
    ----------
    size
        See `MilSize`; of two classes. Its dropout acts on what the bag's head pools: instances
        have the noise of their views.
    config
        See `InsConfig`.
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        Other than two classes.

    References
    ----------
    Qu et al. 2024, arXiv:2307.02249.

    Examples
    --------
    >>> model = InsNetwork(MilSize(dim=4, width=8), generator=Generator())
    >>> output = model(BagBatch.of([torch.ones(3, 4)]))
    >>> output.instance_scores.shape, output.attention.shape
    (torch.Size([3, 2]), torch.Size([3, 1]))
    """

    def __init__(
        self, size: MilSize, config: InsConfig | None = None, *, generator: Generator
    ) -> None:
        super().__init__(size)
        if size.classes != 2:
            msg = (
                f"INS got {size.classes} classes; allowed: 2, negative and positive, as only a "
                "negative slide says what all of its tiles are. Take another model."
            )
            raise RefusedInputError(msg)
        self.config = config or InsConfig()
        encoder = nn.Sequential(
            nn.Linear(size.dim, size.width), nn.ReLU(), nn.Linear(size.width, size.width), nn.ReLU()
        )
        start_xavier(encoder, generator)
        self.instances = InstanceModel(encoder, size.width, self.config, generator=generator)
        self.bag_dropout = nn.Dropout(float(size.dropout))
        self.score = AttentionScore(size.width)
        self.classifier = nn.Linear(size.width, size.classes)
        start_xavier(self.score, generator)
        start_xavier(self.classifier, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return the encoder's features of every instance."""
        return bags.with_features(self.instances.branch.encoder(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return the class of every instance, and of the bag."""
        pooled = self.bag_dropout(embedded.features)
        attention = embedded.segments.softmax(self.score(pooled))
        feature = embedded.segments.sum(attention * pooled)
        output = BagOutput(
            logits=self.classifier(feature),
            features=feature,
            attention=attention,
            instance_scores=self.instances.classifier(embedded.features),
        )
        return self._predicted(output, embedded)

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[Tensor, "instances width"]:
        """Return ``a_i h_i``."""
        assert output.attention is not None  # noqa: S101  what pool returned
        return torch.Tensor.mul(output.attention, embedded.features)

    def prototype_probabilities(self, embedded: BagBatch) -> Float[Tensor, "instances 2"]:
        """Return how near each instance is to the prototype of each class, summing to 1."""
        return self.instances.prototype_probabilities(embedded.features)

    def _predicted(self, output: BagOutput, bags: BagBatch) -> BagOutput:
        if self.config.predict == "head":
            return output
        share = pooled_probability(
            instance_probability(output), bags.segments, by=self.config.predict
        )
        return BagOutput(
            logits=output.logits,
            features=output.features,
            attention=output.attention,
            instance_scores=output.instance_scores,
            probabilities=torch.stack([1 - share, share], 1),
        )
