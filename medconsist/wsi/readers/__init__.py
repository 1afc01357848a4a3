"""Readers of slides: OpenSlide as the reference, a direct engine where the format allows it."""

from medconsist.wsi.readers.open import open_slide

__all__ = ["open_slide"]
