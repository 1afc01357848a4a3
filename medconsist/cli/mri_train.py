"""``medconsist mri train`` and ``import-weights``: where weights come from."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common, Computing
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:
    from medconsist.mri.learned.training_run import Trained, TrainingRun
    from medconsist.mri.reconstruction_network import Architecture

__all__ = ["ImportWeights", "Train"]


@dataclass(frozen=True, kw_only=True)
class Train(Computing):
    """Train a network on scans of the simulator, or on your undersampled scans alone (--ssdu).

    The weights go with: mri reconstruct INPUT --method network --weights FILE.
    """

    out: Path
    """Folder of the run: out/run/weights.safetensors at the end, out/pools for simulated scans."""
    resume: Annotated[bool, arg(help="Go on with the run that is in --out.")] = False
    ssdu: tuple[Path, ...] = ()
    """Undersampled k-space files to learn from, without references."""
    validation: tuple[Path, ...] = ()
    """Other undersampled files, on whose withheld samples the network is scored."""
    network: (
        Literal["cirim", "rim", "irim", "unet", "cascadenet", "kikinet", "lpdnet", "varnet"] | None
    ) = None
    """Preset; by default the shipped CIRIM's: 5 cascades of 5 time-steps, 32 features."""
    network_size: Literal["small", "published", "released"] | None = None
    """Size of unet, cascadenet, kikinet, lpdnet and varnet: small (the default), .3 to .5 million
    parameters; published, as their papers say; released, ATOMMIC's, with the weights it shares."""
    cascades: int | None = None
    """Cascades of the preset; iterations of kikinet and lpdnet."""
    time_steps: int | None = None
    """Time-steps of each cascade of cirim, rim and irim."""
    features: int | None = None
    """Channels of the hidden states, or of the finest level of a U-Net."""
    unit: Literal["indrnn", "gru", "mgu"] | None = None
    """Recurrent unit of cirim, rim and irim."""
    consistency: Annotated[str | None, arg(metavar="FORM")] = None
    """Data consistency. cirim: implicit, explicit, weighted, varnet; cascadenet and varnet: kspace,
    explicit, implicit, weighted, none; kikinet: interleaved, released, none."""
    coil_maps: Literal["given", "learnt"] | None = None
    """Coil maps of varnet: those of the scan, or by a network of its own from the ACS."""
    start: Annotated[str | None, arg(metavar="NAME|FILE")] = None
    """Weights to begin with, in place of an architecture."""
    freeze: tuple[str, ...] = ()
    """Patterns of parameter names that are not trained, e.g. 'cascades.0.*'."""
    steps: int = 2000
    """Optimiser steps."""
    lr: float = 1e-3
    """Largest learning rate; warmed up, then half a cosine."""
    loss: str | None = None
    """l1_ssim (default), l1, ssim, mse, pseudo_huber, cauchy; with --ssdu: ssdu (default), mse,
    pseudo_huber, cauchy, pseudo_huber_scan, cauchy_scan."""
    scans: int = 160
    """Simulated scans."""
    size: int = 128
    """Rows and columns of simulated scans."""

    def run(self) -> int:
        """Train and print where the weights are, their sha256, and the scores."""
        self.set_up()
        trained = self._run().run()
        sys.stdout.write((_as_json(trained) if self.json else _as_text(trained)) + "\n")
        return 0

    def _run(self) -> "TrainingRun":
        from medconsist.mri.learned.training_run import TrainingRun
        from medconsist.training.settings import TrainConfig

        if self.device not in ("cpu", "cuda"):
            msg = f"--device of training must be cpu or cuda, got {self.device!r}."
            raise RefusedInputError(msg)
        train = TrainConfig(
            steps=self.steps,
            lr=self.lr,
            warmup=self.steps // 20,
            seed=self.seed,
            device="cuda" if self.device == "cuda" else "cpu",
            evaluate_every=max(1, self.steps // 10),
        )
        return TrainingRun(
            out=self.out,
            train=train,
            network=self._network(),
            start=self.start,
            freeze=self.freeze,
            ssdu=self.ssdu,
            validation=self.validation,
            loss=self.loss,
            scans=self.scans,
            size=self.size,
            resume=self.resume,
        )

    def _network(self) -> "Architecture | None":
        from medconsist.mri.learned.asked_network import asked_network

        flags = {
            "--cascades": self.cascades,
            "--time-steps": self.time_steps,
            "--features": self.features,
            "--unit": self.unit,
            "--consistency": self.consistency,
            "--coil-maps": self.coil_maps,
        }
        return asked_network(self.network, flags, size=self.network_size)


@dataclass(frozen=True, kw_only=True)
class ImportWeights(Common):
    """Bring CIRIM, RIM or IRIM weights of ATOMMIC or DIRECT into our format."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """State dict: .safetensors, or a torch file with tensors alone."""
    source: Annotated[Literal["atommic", "direct"], arg(name="from")]
    """Program that wrote it."""
    steps: int
    """Time-steps of each cascade; nothing in the weights tells."""
    out: Path
    """File to write, ending in .safetensors."""

    def run(self) -> int:
        """Import and print the path and its sha256."""
        self.set_up()
        from medconsist.mri.cirim.importers import import_weights
        from medconsist.mri.learned.training_run import Trained

        sha256 = import_weights(self.file, source=self.source, steps=self.steps, out=self.out)
        written = Trained(self.out, sha256, {})
        sys.stdout.write((_as_json(written) if self.json else _as_text(written)) + "\n")
        return 0


def _as_json(trained: "Trained") -> str:
    values = {"weights": str(trained.weights), "sha256": trained.sha256, "metrics": trained.metrics}
    return json.dumps(values)


def _as_text(trained: "Trained") -> str:
    scores = [f"{name} {value:.4g}" for name, value in sorted(trained.metrics.items())]
    return "\n".join([*scores, f"sha256 {trained.sha256}", str(trained.weights)])
