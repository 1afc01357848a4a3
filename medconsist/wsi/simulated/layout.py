"""The directories of a slide: levels, and for an svs thumbnail, label and macro as Aperio has them.

OpenSlide knows a slide as Aperio by the first word of ImageDescription, takes tiled pictures for
levels, the second picture for the thumbnail, and the names of the others from the second line of
their descriptions (https://openslide.org/formats/aperio/).
"""

from fractions import Fraction

import numpy as np
from jaxtyping import UInt8

from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.jpeg import JpegEncoder
from medconsist.wsi.simulated.letters import draw_text
from medconsist.wsi.simulated.pyramid import StoredLevel, encoder_of
from medconsist.wsi.simulated.tiff import Tag, TiffFile, rational

__all__ = ["SOFTWARE", "add_directories", "needs_big_tiff"]

SOFTWARE = "medconsist simulator"
"""Tag Software of every level: no drawing is to be taken for a slide of a person."""
_LIBRARY = "Aperio Image Library v12.0.16 \r\n"
_REDUCED, _LABEL, _MACRO = 1, 1, 9
_LARGEST_CLASSIC = 4_000_000_000
_MACRO_SIZE = (1280, 431)


def needs_big_tiff(config: SlideConfig) -> bool:
    """Say whether ``config`` is written as BigTIFF: asked for, or too large when uncompressed."""
    raw = 3 * config.width * config.height
    return raw > _LARGEST_CLASSIC if config.big_tiff is None else config.big_tiff


def add_directories(
    tiff: TiffFile,
    config: SlideConfig,
    levels: list[StoredLevel],
    *,
    thumbnail: UInt8[np.ndarray, "rows columns 3"],
) -> None:
    """Add every directory of the slide in the order of its format."""
    if config.layout == "tiff":
        for number, level in enumerate(levels):
            kind: Tag = (254, "long", (_REDUCED if number else 0,))
            tiff.add_directory([*_level_tags(config, level), *_resolution(config, level), kind])
        return
    for number, level in enumerate(levels):
        text = _svs_description(config, levels[0], level if number else None)
        tiff.add_directory([*_level_tags(config, level), (254, "long", (0,)), _ascii(text)])
        if number == 0:
            text = f"{text.split(chr(10))[0]}\n{_size(levels[0])} -> {_size_of(thumbnail)} - |"
            _add_picture(tiff, thumbnail, description=text, kind=0)
    label = _label(config)
    _add_picture(tiff, label, description=f"{_LIBRARY}label {_size_of(label)}", kind=_LABEL)
    macro = _macro(thumbnail, label)
    _add_picture(tiff, macro, description=f"{_LIBRARY}macro {_size_of(macro)}", kind=_MACRO)


def _level_tags(config: SlideConfig, level: StoredLevel) -> list[Tag]:
    tags: list[Tag] = [
        *_picture_tags(level.width, level.height, config.photometric, config.sampling),
        (322, "long", (config.tile,)),
        (323, "long", (config.tile,)),
        (324, "long8", tuple(level.offsets)),
        (325, "long", tuple(level.byte_counts)),
        (305, "ascii", SOFTWARE.encode() + b"\0"),
    ]
    if config.shared_tables:
        tags.append((347, "bytes", encoder_of(config).tables))
    return tags


def _picture_tags(width: int, height: int, photometric: str, sampling: str) -> list[Tag]:
    chroma = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}[sampling]
    tags: list[Tag] = [
        (256, "long", (width,)),
        (257, "long", (height,)),
        (258, "short", (8, 8, 8)),
        (259, "short", (7,)),
        (262, "short", (2 if photometric == "rgb" else 6,)),
        (277, "short", (3,)),
        (284, "short", (1,)),
    ]
    if photometric == "ycbcr":
        levels = (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)
        tags += [(530, "short", chroma), (532, "rational", levels)]
    return tags


def _resolution(config: SlideConfig, level: StoredLevel) -> list[Tag]:
    if config.mpp is None:
        return []
    pair = config.mpp if isinstance(config.mpp, tuple) else (config.mpp, config.mpp)
    shares = Fraction(level.width, config.width), Fraction(level.height, config.height)
    # The decimal string is what the user wrote; the binary float is not.
    along_x, along_y = (
        rational(10_000 / Fraction(str(mpp)) * share)
        for mpp, share in zip(pair, shares, strict=True)
    )
    return [(282, "rational", along_x), (283, "rational", along_y), (296, "short", (3,))]


def _svs_description(config: SlideConfig, base: StoredLevel, level: StoredLevel | None) -> str:
    smaller = "" if level is None else f" -> {_size(level)}"
    components = "RGB" if config.photometric == "rgb" else "YCC"
    fields = ["", f"ScanScope ID = simulated {config.scanner}", f"Filename = {config.seed}"]
    if config.nominal_magnification is not None:
        fields.insert(1, f"AppMag = {config.nominal_magnification}")
    if config.mpp is not None:
        fields.append(f"MPP = {config.mpp}")
    fields += [f"OriginalWidth = {base.width}", f"OriginalHeight = {base.height}"]
    return (
        f"{_LIBRARY}{_size(base)} [0,0 {_size(base)}] ({config.tile}x{config.tile}){smaller} "
        f"JPEG/{components} Q={config.quality}{'|'.join(fields)}"
    )


def _add_picture(
    tiff: TiffFile, pixels: UInt8[np.ndarray, "rows columns 3"], *, description: str, kind: int
) -> None:
    encoder = JpegEncoder(photometric="ycbcr", sampling="444", quality=90, shared_tables=False)
    stream = encoder.encode(pixels)
    height, width = pixels.shape[:2]
    tiff.add_directory(
        [
            *_picture_tags(width, height, "ycbcr", "444"),
            (254, "long", (kind,)),
            _ascii(description),
            (273, "long8", (tiff.add_data(stream),)),
            (278, "long", (height,)),
            (279, "long", (len(stream),)),
        ]
    )


def _ascii(text: str) -> Tag:
    return 270, "ascii", text.encode("ascii") + b"\0"


def _size(level: StoredLevel) -> str:
    return f"{level.width}x{level.height}"


def _size_of(pixels: UInt8[np.ndarray, "rows columns 3"]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _label(config: SlideConfig) -> UInt8[np.ndarray, "rows columns 3"]:
    label = np.full((431, 387, 3), 250, np.uint8)
    draw_text(label, "SIM", at=(60, 40), scale=16, colour=(20, 20, 20))
    draw_text(label, str(config.seed), at=(240, 40), scale=8, colour=(20, 20, 120))
    return label


def _macro(
    thumbnail: UInt8[np.ndarray, "rows columns 3"],
    label: UInt8[np.ndarray, "label_rows label_columns 3"],
) -> UInt8[np.ndarray, "macro_rows macro_columns 3"]:
    width, height = _MACRO_SIZE
    macro = np.full((height, width, 3), 235, np.uint8)
    macro[:, : label.shape[1]] = label
    step = 1
    while thumbnail.shape[0] > step * height or thumbnail.shape[1] > step * 800:
        step += 1
    small = thumbnail[::step, ::step]
    macro[: small.shape[0], label.shape[1] + 20 :][:, : small.shape[1]] = small
    return macro
