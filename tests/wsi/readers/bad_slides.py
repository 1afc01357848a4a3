"""The corpus of bad slides, made from good ones; run as a program it reads all of them.

``python bad_slides.py FOLDER NAME=SLIDE...`` prints a line of JSON for each case. It runs in a
process of its own, with resource limits, so that whatever a broken slide does ends there.
"""

import json
import random
import resource
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import tifffile

from medconsist.errors import MedconsistError
from medconsist.wsi.readers import open_slide
from medconsist.wsi.slide import Slide

ANY = ("ok", "corrupt", "unsupported", "no mpp")
CORRUPT = ("corrupt",)
MEMORY_LIMIT = 6 * 2**30  # address space; what counts is the growth of the resident set
_WHOLE_LEVEL = 700_000  # px; of larger levels some rectangles are compared
_WIDTH, _HEIGHT, _OFFSETS, _COUNTS, _TABLES, _TEXT = 256, 257, 324, 325, 347, 270


@dataclass(frozen=True)
class Case:
    """A broken file: its kind and place, its bytes, its name, and what may become of it."""

    kind: str
    where: str
    data: bytes
    suffix: str
    allowed: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    kind: str
    where: str
    allowed: tuple[str, ...]
    seen: str
    said: str
    engine: str
    seconds: float
    grown_mb: float


def cases_of(source: Path, *, flips: int = 1) -> Iterator[Case]:
    """Every bad slide that is made from one good TIFF; of the bit flips, one out of ``flips``."""
    data = source.read_bytes()
    with tifffile.TiffFile(source) as tiff:
        yield from _cut(source, data, tiff)
        yield from _links(source, data, tiff)
        yield from _entries(source, data, tiff)
        yield from islice(_flips(source, data, tiff), 0, None, flips)
    yield from _microns(source, data)


def other_cases(slides: dict[str, Path]) -> Iterator[Case]:
    """Other bytes, other names, the good slides themselves, broken DICOM and NDPI."""
    if "svs" in slides:
        yield from _other_content(slides["svs"].read_bytes())
    for name, path in slides.items():
        allowed = ("no mpp",) if name in ("boxes", "silent") else ("ok",)
        if name in ("unreadable", "unopenable"):
            allowed = CORRUPT if name == "unreadable" else ("unsupported",)
        yield Case("given", name, path.read_bytes(), path.suffix, allowed)
    if "dcm" in slides:
        yield from _dicom(slides["dcm"].read_bytes())
    if "ndpi" in slides:
        yield from _ndpi(slides["ndpi"])


def _other_content(svs: bytes) -> Iterator[Case]:
    picture = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
    noise = random.Random(5).randbytes(5000)  # noqa: S311  a fixed draw, no secret
    yield Case("empty", "0 bytes", b"", ".svs", CORRUPT)
    for where, bytes_ in (("jpeg", picture), ("text", b"Slide 1\n" * 99), ("noise", b"\1" + noise)):
        yield Case("wrong content", where, bytes_, ".svs", ("unsupported",))
    yield Case("wrong content", "zeros", bytes(9000), ".ndpi", ("unsupported",))
    for suffix in (".jpg", ".ndpi", ".mrxs", ".dcm", ""):
        yield Case("wrong extension", suffix or "none", svs, suffix, ("ok",))


def _pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    return [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]


def _cut(source: Path, data: bytes, tiff: tifffile.TiffFile) -> Iterator[Case]:
    places: dict[int, str] = {2: "byte order", 4: "magic", 6: "first offset", 8: "header"}
    for number, page in enumerate(_pages(tiff)):
        places[page.offset] = f"before IFD {number}"
        places[page.offset + 1] = f"in the count of IFD {number}"
        places[page.offset + 30] = f"in IFD {number}"
        for tag in page.tags:
            for at in (tag.valueoffset, tag.valueoffset + tag.valuebytecount - 1):
                places[at] = f"tag {tag.code} of IFD {number}"
        for tile, (at, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            places[at] = f"first byte of tile {tile} of IFD {number}"
            places[at + count - 1] = f"last byte of tile {tile} of IFD {number}"
    for at, where in sorted(places.items()):
        if at < len(data):
            yield Case("cut", where, data[:at], source.suffix, CORRUPT)


def _links(source: Path, data: bytes, tiff: tifffile.TiffFile) -> Iterator[Case]:
    """Change where a directory says that the next one is."""
    form = tiff.tiff
    order, size, kind = form.byteorder, form.offsetsize, {4: "I", 8: "Q"}[form.offsetsize]
    pages = _pages(tiff)
    for number, page in enumerate(pages):
        at = page.offset + form.tagnosize + len(page.tags) * form.tagsize
        following = struct.unpack(order + kind, data[at : at + size])[0]
        targets = {
            "itself": (page.offset, CORRUPT),
            "the first": (pages[0].offset, CORRUPT),
            "the header": (4, CORRUPT),
            "beyond the end": (len(data) + 10, CORRUPT),
            "the last byte": (len(data) - 1, CORRUPT),
            "the middle of itself": (page.offset + 2, CORRUPT),
            "an entry of itself": (page.offset + form.tagnosize + form.tagsize, CORRUPT),
        }
        if following:
            targets["nothing"] = (0, ("ok",))
        if number + 2 < len(pages):
            targets["the one after the next"] = (pages[number + 2].offset, ("ok",))
        for where, (target, allowed) in targets.items():
            changed = data[:at] + struct.pack(order + kind, target) + data[at + size :]
            yield Case(
                "IFD link", f"IFD {number} leads to {where}", changed, source.suffix, allowed
            )


def _entries(source: Path, data: bytes, tiff: tifffile.TiffFile) -> Iterator[Case]:
    """Absurd dimensions; tables of tiles that point elsewhere."""
    order, ends = tiff.tiff.byteorder, len(data)
    for number, page in enumerate(_pages(tiff)):
        if not page.is_tiled:
            continue
        for code in (_WIDTH, _HEIGHT):
            for value in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
                tag = page.tags[code]
                fits = value % 2 ** (8 * tag.valuebytecount)
                changed = _put(data, tag, order, (fits,))
                where = f"tag {code} of IFD {number} says {fits}"
                yield Case("dimension", where, changed, source.suffix, CORRUPT)
        offsets, counts = page.tags[_OFFSETS], page.tags[_COUNTS]
        n = len(page.dataoffsets)
        last = list(page.dataoffsets)[:-1]
        tables: tuple[tuple[str, tifffile.TiffTag, list[int]], ...] = (
            ("huge byte counts", counts, [2**31] * n),
            ("one byte count beyond the end", counts, [*page.databytecounts[:-1], ends]),
            ("byte counts of 1", counts, [1] * n),
            ("offsets 0", offsets, [0] * n),
            ("offsets in the header", offsets, [4] * n),
            ("last offset at the end", offsets, [*last, ends]),
            ("last offset beyond the end", offsets, [*last, ends + 10**6]),
            ("offsets in the IFD", offsets, [page.offset] * n),
        )
        for where, tag, numbers in tables:
            changed = _put(data, tag, order, tuple(numbers))
            yield Case("tile table", f"{where}, IFD {number}", changed, source.suffix, CORRUPT)
        if n > 2:
            swapped = (*page.dataoffsets[1:2], *page.dataoffsets[:1], *page.dataoffsets[2:])
            changed = _put(data, offsets, order, swapped)
            where = f"two offsets exchanged, IFD {number}"
            yield Case("tile table", where, changed, source.suffix, ("ok", "corrupt"))
        if _TABLES in page.tags:
            tag = page.tags[_TABLES]
            changed = data[: tag.valueoffset] + bytes(60) + data[tag.valueoffset + 60 :]
            where = f"zeros in JPEGTables, IFD {number}"
            yield Case("tile table", where, changed, source.suffix, CORRUPT)


def _flips(source: Path, data: bytes, tiff: tifffile.TiffFile) -> Iterator[Case]:
    """Flip single bits, by a fixed seed, in each part of the structure and in the pixels."""
    draw = random.Random(f"{source.name}")  # noqa: S311  a fixed draw, no secret
    form = tiff.tiff
    parts: list[tuple[str, int, int, int]] = [("header", 0, form.offsetsize + 4, 16)]
    for number, page in enumerate(_pages(tiff)):
        length = form.tagnosize + len(page.tags) * form.tagsize + form.offsetsize
        parts.append((f"IFD {number}", page.offset, page.offset + length, 60))
        for code in (_OFFSETS, _COUNTS, _TABLES):
            if code in page.tags:
                tag = page.tags[code]
                end = tag.valueoffset + tag.valuebytecount
                parts.append((f"tag {code} of IFD {number}", tag.valueoffset, end, 16))
        for at, count in list(zip(page.dataoffsets, page.databytecounts, strict=True))[:8]:
            parts.append((f"tile data of IFD {number}", at, at + min(count, 30), 2))
            parts.append((f"tile data of IFD {number}", at, at + count, 4))
    for where, start, end, number in parts:
        for _ in range(number):
            at, bit = draw.randrange(start, end), draw.randrange(8)
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            place = f"{where}, byte {at - start} bit {bit}"
            yield Case("bit flip", place, bytes(changed), source.suffix, ANY)


def _microns(source: Path, data: bytes) -> Iterator[Case]:
    """Write another value of the same length where an SVS says its microns per pixel."""
    at = data.find(b"|MPP = ")
    if at < 0:
        return
    end = next(i for i in range(at + 7, len(data)) if data[i : i + 1] in (b"|", b"\0"))
    for said in ("0", "-0.5", "nan", "inf", "abc", "", "1e-9", "400"):
        value = said.encode().ljust(end - at - 7)[: end - at - 7]
        changed = data[: at + 7] + value + data[end:]
        yield Case("mpp", said or "blank", changed, source.suffix, ("no mpp",))
    absent = data[: at + 1] + b"XXX" + data[at + 4 :]
    yield Case("mpp", "absent", absent, source.suffix, ("no mpp",))


def _dicom(data: bytes) -> Iterator[Case]:
    for at in range(132, len(data), 41):
        yield Case("cut", f"DICOM at {at}", data[:at], ".dcm", CORRUPT)
    draw = random.Random(7)  # noqa: S311  a fixed draw, no secret
    for _ in range(80):
        changed = bytearray(data)
        at = draw.randrange(128, len(data))
        changed[at] ^= 1 << draw.randrange(8)
        yield Case("bit flip", f"DICOM byte {at}", bytes(changed), ".dcm", ANY)


def _ndpi(source: Path) -> Iterator[Case]:
    data = source.read_bytes()
    with tifffile.TiffFile(source) as tiff:
        yield from islice(_cut(source, data, tiff), 0, None, 12)
        yield from islice(_flips(source, data, tiff), 0, None, 60)


def _put(data: bytes, tag: tifffile.TiffTag, order: str, values: tuple[int, ...]) -> bytes:
    kind = {1: "B", 2: "H", 4: "I", 8: "Q"}[tag.valuebytecount // tag.count]
    packed = struct.pack(f"{order}{len(values)}{kind}", *values)
    return data[: tag.valueoffset] + packed + data[tag.valueoffset + len(packed) :]


def read_all(path: Path) -> tuple[str, str, str]:
    """Open and read a slide; return the outcome, what was said and the engine."""
    engine = ""
    try:
        with open_slide(path) as slide:
            engine = slide.engine
            for level in range(len(slide.facts.levels)):
                where = _wrong(slide, path, level)
                if where:
                    return "WRONG", where, engine
            slide.facts.mpp()
    except MedconsistError as error:
        return error.reason, str(error), engine
    return "ok", "; ".join(slide.notes), engine


def _wrong(slide: Slide, path: Path, level: int) -> str:
    """Compare rectangles of a level with OpenSlide's; say where they differ."""
    size = slide.facts.levels[level]
    whole = size.width * size.height <= _WHOLE_LEVEL
    draw = random.Random(level)  # noqa: S311  a fixed draw, no secret
    boxes = [(0, 0, size.width, size.height)] if whole else []
    for _ in range(0 if whole else 4):
        x, y = draw.randrange(size.width), draw.randrange(size.height)
        boxes.append((x, y, min(300, size.width - x), min(300, size.height - y)))
    for x, y, width, height in boxes:
        seen = slide.read_region(level, x, y, width, height)
        try:
            wanted = _by_openslide(path, level, x, y, width, height)
        except openslide.OpenSlideError as error:
            return f"level {level}: read what OpenSlide refuses: {error}"
        if not np.array_equal(seen, wanted):
            most = np.abs(seen.astype(int) - wanted).max()
            return f"level {level} at {x}, {y} differs by up to {most}"
    return ""


def _by_openslide(
    path: Path, level: int, x: int, y: int, width: int, height: int
) -> npt.NDArray[np.uint8]:
    with openslide.OpenSlide(path) as handle:
        step = handle.level_downsamples[level]
        location = (round(x * step), round(y * step))
        rgba = np.asarray(handle.read_region(location, level, (width, height)))
    clear = rgba[..., 3:] == 0
    return np.where(clear, 255, rgba[..., :3]).astype(np.uint8)


def run(case: Case, folder: Path) -> Outcome:
    path = folder / f"slide{case.suffix}"
    path.write_bytes(case.data)
    before, start = _peak_mb(), time.perf_counter()
    try:
        seen, said, engine = read_all(path)
    except MemoryError as error:
        seen, said, engine = "MEMORY", str(error), ""
    except Exception as error:  # noqa: BLE001  any other class is what the corpus looks for
        seen, said, engine = "RAISED", f"{type(error).__name__}: {error}", ""
    seconds = time.perf_counter() - start
    path.unlink()
    grown = _peak_mb() - before
    return Outcome(case.kind, case.where, case.allowed, seen, said, engine, seconds, grown)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path, slides: dict[str, Path]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    for name, path in slides.items():
        if name in ("svs", "tiff", "silent", "real"):
            for case in cases_of(path, flips=16 if name == "real" else 1):
                if name == "silent" and "ok" in case.allowed:
                    case = replace(case, allowed=(*case.allowed, "no mpp"))
                _say(name, run(case, folder))
    for case in other_cases(slides):
        _say("other", run(case, folder))


def _say(source: str, outcome: Outcome) -> None:
    sys.stdout.write(json.dumps({"source": source, **asdict(outcome)}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), {k: Path(v) for k, v in (arg.split("=", 1) for arg in sys.argv[2:])})
