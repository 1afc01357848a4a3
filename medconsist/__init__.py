"""Raw k-space, whole slides and biosignals to reviewed results, with the measured evidence.

Rooms, from the ground up: ``shapes errors`` | ``consistency operators metrics`` | ``results`` |
``mri`` | ``viewing`` | ``cli``. Imports go down the floors only. This module imports nothing
heavy. Research use only, not for diagnosis.
"""

from importlib.metadata import version as _version

__all__ = ["RESEARCH_USE_ONLY", "SIMULATED_NOTE", "__version__"]

__version__ = _version("medconsist")
RESEARCH_USE_ONLY = "Research use only, not for diagnosis."
SIMULATED_NOTE = f"A scan of this simulator, not of a person. {RESEARCH_USE_ONLY}"
