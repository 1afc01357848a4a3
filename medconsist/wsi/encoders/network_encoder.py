"""A network as an encoder: normalised on the device, channels last, in the wanted precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.wsi.encoders.encoder import DTYPES, Encoder, EncoderCard

__all__ = ["NetworkEncoder"]

_WHITE = 255.0


class NetworkEncoder(Encoder):
    """Features of a frozen network.

    Normalisation is float32; then weights and pictures are of the precision of the card
    throughout (no autocast). Neither shortened products (TF32, `set_float32_matmul_precision`) nor
    algorithms chosen by timing are used, so that features do not depend on the run.

    Parameters
    ----------
    network
        Pictures ``tiles 3 height width`` to ``tiles dim``. Taken over: set to evaluation, moved,
        cast, its parameters frozen.
    card
        What it is.
    device
        Where it computes.

    Raises
    ------
    RefusedInputError
        The precision is unknown.

    Examples
    --------
    >>> from medconsist.networks.resnet import ResNet, ResNetConfig
    >>> from medconsist.wsi.encoders.encoder import Preprocessing
    >>> shown = Preprocessing(input_px=32)
    >>> card = EncoderCard(name="tiny", dim=64, preprocessing=shown, sha256="0" * 64)
    >>> encoder = NetworkEncoder(ResNet(ResNetConfig(depths=(1,), block="basic")), card=card)
    >>> encoder(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self, network: nn.Module, *, card: EncoderCard, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(card, device=device)
        if card.precision not in DTYPES:
            msg = f"precision got {card.precision!r}; allowed: {', '.join(map(repr, DTYPES))}."
            raise RefusedInputError(msg)
        self._dtype = DTYPES[card.precision]
        moved = network.eval().requires_grad_(requires_grad=False).to(self.device, self._dtype)
        self._network = moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub
        mean = torch.tensor(card.preprocessing.mean, device=self.device).reshape(1, 3, 1, 1)
        std = torch.tensor(card.preprocessing.std, device=self.device).reshape(1, 3, 1, 1)
        self._scale, self._shift = 1 / (_WHITE * std), -mean / std

    def _features(self, tiles: Tensor) -> Tensor:
        # rows columns 3 is channels-last memory already: the permutation moves no byte
        pictures = tiles.permute(0, 3, 1, 2).to(torch.float32)
        pictures = pictures.mul_(self._scale).add_(self._shift).to(self._dtype)
        with _repeatable(self.device):
            return self._network(pictures.contiguous(memory_format=torch.channels_last))


@contextmanager
def _repeatable(device: torch.device) -> Iterator[None]:
    with _whole_products():
        if device.type != "cuda":
            yield
            return
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield


@contextmanager
def _whole_products() -> Iterator[None]:
    switches = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]  # missing in its stub
    held = [switch.fp32_precision for switch in switches]
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # torch refuses to say where the switches were set one by one
        before = "highest"
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for switch, value in zip(switches, held, strict=True):
            switch.fp32_precision = value
