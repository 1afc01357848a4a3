"""``medconsist bench mri``: start-up, parity with BART, the real slice, scans of the simulator.

What is not there (the program bart, the real data) leaves its rows out and says so on stderr.
Nothing here is tuned on what it reports: lambda is chosen on samples that the reported error
does not use.
"""

import logging
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from medconsist.metrics.report import interval, paired_difference
from medconsist.mri.bart import BartReference, scaled_magnitude_error
from medconsist.mri.espirit import EspiritConfig
from medconsist.mri.forward import Measurement
from medconsist.mri.lesions import LesionStudy, central_sites, lesion_responses, lesion_rows
from medconsist.mri.methods import CgSense, CompressedSensing, Method, Zerofilled
from medconsist.mri.prepare import Prepared, prepare
from medconsist.mri.quality import QUALITY_UNITS, quality_metrics
from medconsist.mri.readers import read_kspace
from medconsist.mri.scan_series import Series, simulate_series
from medconsist.mri.trust import predict
from medconsist.mri.withheld import WithheldConfig, WithheldError, withheld_error, withhold
from medconsist.results.bench import BenchReport, BenchRow, Target

__all__ = ["run_bench"]
