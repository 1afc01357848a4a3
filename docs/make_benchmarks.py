"""Write docs/benchmarks.md: ``python docs/make_benchmarks.py`` runs every bench, 2 hours.

``python docs/make_benchmarks.py mri cirim`` runs these and leaves the other sections as they are.
Takes the folder of real data from MEDCONSIST_TEST_DATA and BART from the path. The page holds what
the benches printed and nothing else.
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medconsist.cli.benches import alarm, batch, consistency
from medconsist.mri import bench
from medconsist.mri.bench import coverage, real_learned, speed, spiked
from medconsist.mri.bench.learned import run as learned
from medconsist.results.bench import BenchReport
from medconsist.results.tables import rows_text, targets_text
from medconsist.timeseries.bench import smni, ts, worlds
from medconsist.wsi.bench import implants, mil, mil_musk, mil_step, tiles, tissue

PAGE = Path(__file__).with_name("benchmarks.md")
HEAD = """# Measured figures

Written by `python docs/make_benchmarks.py`, which runs each `medconsist bench NAME`; `--json` gives
the same rows to a program. Intervals are 95 % bootstrap intervals over the unit that stands under
*n*.
"""
MACHINE = """
Machine: {machine.cpu}, {machine.threads} threads, GPU: {gpu}. medconsist {version}, torch {torch}.
"""


@dataclass(frozen=True)
class Section:
    """One bench: the words above its rows, and what runs it."""

    words: str
    run: Callable[[], BenchReport]


SECTIONS = {
    "mri": Section(
        """
How to read it: a *baseline* is what the row is compared with: BART's error on the same samples,
figures measured with BART before this program was written, zero-filled, or a bare interpreter.
Errors beside BART are those of `bart nrmse -s`, of magnitudes in place. Draws and sites are all of
one scan, so their intervals say nothing about other scans. *Simulated* rows are over scans of our
simulator, never patients. Lambda on the real slice is chosen on samples that the reported error
does not use. Lesion sites lie on a lattice in the middle of the head or are drawn all over it; the
earlier figures do not say where theirs lay, nor which noise level and intensity their d' used, so
both are for orientation. The middle was added after it was seen to come nearer to them.
""",
        partial(bench.run_bench, data=None, seed=0),
    ),
    "cirim": Section(
        """
Scans of this simulator, never patients: 128 x 128, 8 coils, one slice a scan; coil maps for every
method from the central 24 x 24 samples of the same scan, as from a calibration scan of its own.
Lambda of CG-SENSE and CS is the best of six per cell on 8 validation scans, by SSIM. The baseline
is CS. SSIM decides; one contrast was fixed beforehand (CIRIM less RIM, 1-D 8x). The networks saw
training scans of the same simulator, each for 4,200 steps and the same draws. The unseen anatomy
is one tissue map, deformed anew each time; all its scans are of that one anatomy.
""",
        partial(learned.run_bench, data=None, seed=0),
    ),
    "cirim-speed": Section(
        """
CIRIM of 5 x 8 steps and 64 features on a random slice. *Bare* are its own convolutions and Fourier
transforms alone, as many, of the same shapes, on arrays that are padded already, in the same run;
*plain* is the formulation as published. Repeats of all forms take turns; the least counts.
""",
        partial(speed.run_bench, seed=0),
    ),
    "mri-coverage": Section(
        """
Scans of this simulator, 96 x 96, one slice of one head each; one forward pass of the shipped CIRIM
a scan. What its last steps still change is the heuristic; 1,000 scans give one factor, so that for
90 % of scans at least 90 % of the pixels of the object lie within the interval, if scans are
exchangeable. Under a shift they are not: the rows of 500 test scans say what the promise loses
there. The interval is wide: a heuristic without knowledge of the error pays with width. The window
of the heuristic was chosen on other scans; how far off the shifted maps are was set after a milder
shift had shown no loss.
""",
        coverage.run_bench,
    ),
    "zero-shot": Section(
        """
One real slice of one brain, 8 coils, 8x, without ground truth: the error on samples that nothing
which made the image has seen (NRMSE; an interval needs several draws), and the response to a
10 % lesion put into the samples. The networks are the shipped CIRIM as it is, the same adapted to
the seen samples of this slice (zero-shot), and a small network trained on them from nothing; the
adapted ones are trained once, not per lesion. One slice says nothing about other scans. Steps and
rate of the adaptation were chosen on draws of seed 0; this is `--seed 7 --draws 2`.
""",
        partial(real_learned.run_bench, data=None, seed=7, draws=2),
    ),
    "spiked": Section(
        """
Self-supervised training (SSDU) of a small network on simulated scans of which none or 30 % have
spikes in k-space, tested on clean scans; the supervised row learns from clean references. A loss
*survives* if its NMSE with spikes is at most 1.25 times that without in each of three trainings, a
bound that was set before the first. Intervals are over test scans and know of no other trainings.
""",
        partial(spiked.run_bench, seed=0),
    ),
    "consistency": Section(
        """
Time and peak memory of the shared bricks; the baseline is the plain torch form in the same run:
the similarity matrix written out, torch's averaged model, a loop over samples. Random numbers: it
measures no method.
""",
        partial(consistency.run_bench, seed=0),
    ),
    "tiles": Section(
        """
Tiles a core-second of the loader over those of libjpeg-turbo decoding the same stored tiles from
memory into one buffer (*rho*), both in turn in one process; core-seconds are summed over threads.
Overlapping, resampled and 40x to 20x rows count stored tiles that were decoded. *Drawn*: 10,240 px,
256 px tiles of 10 KB; *real*: one public SVS of 108 whole tiles. The interval is the least and the
largest of the rounds. Every pixel that is compared was decoded by both engines in this run.
""",
        partial(tiles.run_bench, data=None, seed=0),
    ),
    "tissue": Section(
        """
Drawn slides with planted faults, nobody's tissue; the thresholds were chosen on other seeds. A flag
is *sensitive* on a slide if it covers 30 % or more of the planted fault, *specific* if less than
.02 mm^2 of healthy tissue is flagged. Exact binomial intervals over slides.
""",
        tissue.run_bench,
    ),
    "batch": Section(
        """
What an engine costs beside the work: time until the first case runs, time for a case that does
nothing, sizes of what is installed for it, and the gain of two workers over one on work that does
nothing but compute. One machine; nothing here says how a cluster behaves.
""",
        batch.run_bench,
    ),
    "implants": Section(
        """
Simulated implants on real tissue: copies of the halves of one public SVS, each with a *lesion*
(normal tissue of elsewhere, into which nuclei are drawn) and a *sham* (normal tissue of elsewhere),
turned and blended alike. Models learn on labels of copies of one half and are asked about the other
half, with a texture that no copy of training had; each half is the test once, each of four textures
is left out once. Rows are read from the result folders of the predictions. A *tile AUC* is that
within a copy, averaged over copies. Drawn nuclei are also more haematoxylin, which tells lesions
from shams without any training, as the last rows say: this shows that maps answer to what was
implanted and where, and is no measure of how hard lesions of patients are. All copies are of one
slide of one person: the intervals say nothing about other slides. Copies that one model was asked
about are not independent either; rows *by model* take the mean of each model first.
""",
        partial(implants.run_bench, data=None),
    ),
    "mil": Section(
        """
Bags of this simulator, nobody's tissue: two tumour phenotypes in opposite directions, a site shift
as large as the tumour's, 58 training bags of 100 to 300 instances. The unit is the dataset draw,
its seeds averaged first; methods were set on other draws. Checkpoints come from validation, INS
keeps its last weights. Intervals are those of Student's t over draws. *Equal compute*, and mean and
max in table a: the epochs of teacher and student together; ABMIL of table b has twice and four
times the epochs, which cost what INS and MHIM with INS do. *Copied bag labels* is no MIL: each
instance gets the label of its bag. Its logistic row is the bar that was set, and a low one, since
no line follows both phenotypes; its small network (mlp) is the rival. The *true-label ceiling* and
the *released leak* see labels of instances, which no method may. ABMIL finds the tumour or does
not, by seed: its mean over seeds lies between two modes. *INS* names a tenth of the instances of
positive bags positive in any case; *as published* it does not, and can collapse. Table c takes one
seed a draw, and judges bags: copied labels by the mean score of a bag, the ceiling by its highest.
Not here, as too dear: TransMIL, DSMIL, MHIM over them, and MHIM v2.
""",
        mil.run_bench,
    ),
    "musk": Section(
        """
MUSK1, real: 92 molecules, 476 shapes. **92 bags rank nothing**: beside each difference stands the
smallest one that this protocol would show. Ten times ten folds by molecule; one setting for all
methods, last weights, tuned on nothing but the probe's penalty, which it chooses on a fifth of its
training molecules and therefore learns from fewer; intervals corrected for overlapping training
sets, not clipped at 1. No published value stands here: those are of other folds and trainings.
""",
        partial(mil_musk.run_bench, data=None, seed=0),
    ),
    "ts": Section(
        """
One training step of COMET as released, 32 windows of 256 samples and 16 channels, dropout off, same
masks: *plain* is the published form (eight passes, dead taps computed, similarities written out) in
the same process; *fast* has the same loss. Process time, least of interleaved repeats. The step at
2,500 samples is a process of its own, its peak with the libraries in it.
""",
        partial(ts.run_bench, seed=0),
    ),
    "ts-worlds": Section(
        """
Recordings of this simulator, of no patient; the unit is the dataset draw, and world, sizes and
length of training were set on other draws. In the world *shared* the class shows in every window of
a case, in *not shared* each window draws whether it does. Encoders are small, learn on 40 patients
without labels for some 200 steps, and start at the weights of the *random encoder*; a logistic
probe sees the labels of 6 + 6 of them; 100 fresh patients are judged. One contrast a world was
fixed beforehand, mended COMET less the random encoder, expected above 0 where the class is shared
and not where it is not. *comet-reference* has frozen batches and the mean of all weights, as
released. *Best possible score* knows the simulator's truth. The *choice* of a checkpoint sees no
label; the best one is that of the fresh patients themselves.
""",
        partial(worlds.run_bench, sizes=None),
    ),
    "ts-smni": Section(
        """
Real EEG of 16 subjects, 8 alcoholic and 8 controls (SMNI), 920 windows of a second, all 64 channels
with EOG. First what a split within subjects feigns, beside the honest figure. Then methods by
leave-pair-out: the AUC is that of pairs whose two scores are of one model, with an interval over
patients that allows for it. Encoders learn, without labels, on the two of four blocks of patients
that hold neither of the pair; 6 epochs at 1e-3 of AdamW for all, tuned on nothing: the same steps,
not the same seconds, and supervised rows share neither. The one contrast was fixed beforehand and
expected a tie; with 16 subjects no other rows may be ranked.
""",
        partial(smni.run_bench, data=None, seed=0),
    ),
    "alarm": Section(
        """
![Share of streams that have raised the alarm, by the cases since a planted change, in the three
domains](images/alarm.svg)

Cases until alarm, by a conformal martingale at no more than 1 false alarm in 1,000 clean cases on
average. Scans, cases and patients of this simulator, nobody's. A stream is 200 clean cases and then
changed ones; both scores see the same streams. *Combined*: how far out the case is in the worst of
the scores of its trust record, beside 300 calibration cases that no stream holds. *Plain* (the
baseline): the data residual of a scan, 1 - max softmax elsewhere. The first change of each domain
was named beforehand and decides; the other one describes. A slide's change is one of features, not
of pixels: it says nothing about encoders. Scans by CG-SENSE, 64 x 64, their SNR from 20 to 60; the
signals' score of withheld segments is that of the bench and stands in no trust record. Streams
reuse the cases of their pools: the case is the unit, and intervals are over draws of the pools.
False alarms in *random orders* test the alarm and its code, since every order of the same cases is
as likely; *as made* is one stream, each case once.
""",
        partial(alarm.run_bench, seed=0, figure_path=PAGE.parent / "images" / "alarm.svg"),
    ),
    "mil-step": Section(
        """
Forward and backward pass of one training step over one bag of random features (1024, width 512,
float32), each in a process of its own. Memory is the peak beyond what the process held before, the
bag among that; on a CPU time is in core-seconds. It measures no method.
""",
        partial(mil_step.run_bench, seed=0),
    ),
}


def section(name: str) -> str:
    """Run one bench and return its words, machine, rows and targets."""
    what = SECTIONS[name]
    report = what.run()
    machine = MACHINE.format(
        machine=report.machine,
        gpu=report.machine.gpu or "none",
        version=report.versions["medconsist"],
        torch=report.versions["torch"],
    )
    rows, targets = rows_text(report.rows), targets_text(report.targets)
    tables = f"\n```text\n{rows}\n```\n\n```text\n{targets}\n```\n"
    return f"{heading(name)}\n{what.words}{machine}{tables}"


def heading(name: str) -> str:
    """Return the line that a section begins with."""
    return f"\n## `medconsist bench {name}`"


def written() -> dict[str, str]:
    """Return the sections that the page has now."""
    text = PAGE.read_text() if PAGE.is_file() else ""
    found = {name: text.find(heading(name)) for name in SECTIONS}
    starts = sorted(start for start in found.values() if start >= 0)
    ends = dict(zip(starts, [*starts[1:], len(text)], strict=True))
    return {name: text[start : ends[start]] for name, start in found.items() if start >= 0}


def main(names: list[str]) -> None:
    """Run the named benches, or all, and write the page."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    unknown = sorted(set(names) - SECTIONS.keys())
    if unknown:
        msg = f"got {', '.join(unknown)}; allowed: {', '.join(SECTIONS)}."
        raise SystemExit(msg)
    sections = written()
    for name in names or SECTIONS:
        sections[name] = section(name)
        PAGE.write_text(HEAD + "".join(sections[name] for name in SECTIONS if name in sections))


if __name__ == "__main__":
    main(sys.argv[1:])
