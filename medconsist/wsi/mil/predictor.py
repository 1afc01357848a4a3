"""A trained model of bags, ready to be asked: network, card, prototypes and, of some, a teacher."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.card import MilCard
from medconsist.wsi.mil.maps import tile_values
from medconsist.wsi.mil.output import BagOutput
from medconsist.wsi.mil.uncertainty import (
    Assessment,
    Verdict,
    assess,
    hidden_repeats,
    novelty,
    output_gap,
)

__all__ = ["HIDDEN", "REPEATS", "Answer", "Predictor", "tempered"]

REPEATS = 16
HIDDEN = 0.5


@dataclass(frozen=True, eq=False)
class Answer:
    """What is said of one case.

    Parameters
    ----------
    probabilities
        After the temperature of the card.
    tiles
        Name (see `medconsist.wsi.mil.maps.MEANINGS`, and ``novelty``) to one number an instance.
    scores
        ``hidden_spread``, ``novelty`` and, with a teacher, ``teacher_probability_gap`` and
        ``teacher_attention_gap``.
    assessment
        Whether it can be assessed.

    Examples
    --------
    >>> Answer((0.1, 0.9), {}, {}, Assessment(classes=(1,), reasons=())).called
    1
    """

    probabilities: tuple[float, ...]
    tiles: dict[str, Float[Tensor, " instances"]]
    scores: dict[str, float]
    assessment: Assessment

    @property
    def called(self) -> int:
        """The most probable class."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network in eval mode, and what its card says.

    Parameters
    ----------
    network
        Takes a `BagBatch`.
    card
        Of its weights.
    prototypes
        Centres of training features; None: novelty is not looked at.
    teacher
        A second model of the same kind; None where the method has none.

    Examples
    --------
    ::

        predictor = load_predictor(Path("runs/mhim"))
        predictor.answer(features, generator=Generator().manual_seed(0)).probabilities
    """

    network: nn.Module
    card: MilCard
    prototypes: Float[Tensor, "prototypes dim"] | None = None
    teacher: nn.Module | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def positive(self) -> int:
        """The class whose maps are shown: the last one."""
        return len(self.card.classes) - 1

    @property
    def verdict(self) -> Verdict:
        """What validation says of the model."""
        return Verdict(
            nonconformity=self.card.nonconformity,
            spread=self.card.spread,
            distance=self.card.distance,
            fewest_tiles=self.card.fewest_tiles,
            names=self.card.classes,
        )

    def probabilities(self, output: BagOutput) -> Float[Tensor, "bags classes"]:
        """Return the probabilities of an output after the temperature of the card, in float64.

        So the threshold was chosen: a temperature below 1 makes ties in float32.
        """
        return tempered(output.probabilities.double(), self.card.temperature)

    @torch.no_grad()
    def answer(self, bag: Float[Tensor, "instances dim"], *, generator: Generator) -> Answer:
        """Return what is said of one case.

        Parameters
        ----------
        bag
            Its features, as they are stored.
        generator
            Of the hidden repeats, on the CPU.
        """
        rows = bag.to(device=self.device, dtype=torch.float32)
        output: BagOutput = self.network(BagBatch.of([rows]))
        said = self.probabilities(output)[0].tolist()
        tiles = {name: v.cpu() for name, v in tile_values(output, shown=self.positive).items()}
        repeats = hidden_repeats(
            self.network, rows, hidden=HIDDEN, repeats=REPEATS, generator=generator
        )
        scores = {"hidden_spread": repeats.spread}
        if self.prototypes is not None:
            tiles["novelty"] = novelty(rows.cpu(), self.prototypes)
            scores["novelty"] = float(tiles["novelty"].mean())
        if self.teacher is not None:
            scores |= self._beside_teacher(rows, output, tiles)
        assessment = assess(
            self.verdict,
            probabilities=said,
            tiles=len(bag),
            spread=scores["hidden_spread"],
            distance=scores.get("novelty"),
        )
        return Answer(tuple(said), tiles, scores, assessment)

    def _beside_teacher(
        self, rows: Tensor, output: BagOutput, tiles: dict[str, Tensor]
    ) -> dict[str, float]:
        assert self.teacher is not None  # noqa: S101  asked before
        other: BagOutput = self.teacher(BagBatch.of([rows]))
        gap, apart = output_gap(output, other)
        if apart is None or output.attention is None or other.attention is None:
            return {"teacher_probability_gap": gap}
        each = output.attention.float().mean(1) - other.attention.float().mean(1)
        tiles["disagreement"] = (each.abs() * len(rows)).cpu()
        return {"teacher_probability_gap": gap, "teacher_attention_gap": apart}


def tempered(
    probabilities: Float[Tensor, "bags classes"], temperature: float
) -> Float[Tensor, "bags classes"]:
    """Return ``softmax(log p / T)``; for softmax outputs the softmax of their logits over T."""
    tiny = torch.finfo(probabilities.dtype).tiny
    return (probabilities.clamp(min=tiny).log() / temperature).softmax(1)
