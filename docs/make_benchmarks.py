"""Write docs/benchmarks.md: ``python docs/make_benchmarks.py`` runs every bench, 4 hours.

``python docs/make_benchmarks.py mri cirim`` runs these and leaves the other sections as they are.
Takes the folder of real data from MEDCONSIST_TEST_DATA and BART from the path; ``mri benchmark``
goes on in the folder MEDCONSIST_BENCHMARK, by default build/mri-benchmark. The page holds what the
benches printed and nothing else.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medconsist.cli.benches import alarm, batch, consistency
from medconsist.cli.benches.mri_benchmark_figure import figure
from medconsist.mri import bench
from medconsist.mri.bench import adaptation, coverage, noise, real_learned, speed, spiked
from medconsist.mri.bench.learned import run as learned
from medconsist.mri.benchmark.design import Design
from medconsist.mri.benchmark.run import run_benchmark
from medconsist.mri.benchmark.summary import summary_text
from medconsist.results.bench import BenchReport, BenchRow
from medconsist.results.tables import rows_text, targets_text
from medconsist.timeseries.bench import smni, ts, worlds
from medconsist.viewing.bench import alarm_faults, viewer
from medconsist.wsi.bench import implants, mil, mil_musk, mil_step, tiles, tissue

PAGE = Path(__file__).with_name("benchmarks.md")
IMAGES = PAGE.parent / "images"
HEAD = """# Measured figures

Written by `python docs/make_benchmarks.py`, which runs each `medconsist bench NAME`; `--json` gives
the same rows to a program. Intervals are 95 % bootstrap intervals over the unit that stands under
*n*.
"""
MACHINE = """
Machine: {machine.cpu}, threads: {machine.threads}, GPU: {gpu}. medconsist {version}, torch {torch}.
"""


@dataclass(frozen=True)
class Section:
    """One bench: the words above its rows, and what runs it."""

    words: str
    run: Callable[[], BenchReport]
    command: str = "bench {name}"
    rows: Callable[[Sequence[BenchRow]], str] = rows_text


def benchmark() -> BenchReport:
    """Run ``mri benchmark``, or go on with it, and draw its figures."""
    folder = Path(os.environ.get("MEDCONSIST_BENCHMARK", "build/mri-benchmark"))
    done = run_benchmark(folder, Design())
    for panel in done.panels:
        (IMAGES / f"mri-{panel.file}.svg").write_text(figure(panel))
    return done.report


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
    "mri-benchmark": Section(
        """
![SSIM against parameters at 1-D 8x](images/mri-ssim-parameters.svg)
![SSIM against the time of one slice at 1-D 8x](images/mri-ssim-seconds.svg)
![SSIM lost at 1-D 8x by smooth errors of the coil maps](images/mri-ssim-map-error.svg)
![SSIM lost at 1-D 8x by shifted coil maps](images/mri-ssim-map-shift.svg)

Scans of this simulator, never patients. Each network was trained once, 10 core-minutes on a shared
machine, at the better of two rates. Intervals are over test scans: "ahead" is said of these
weights, not of architectures. Two contrasts were fixed beforehand (CIRIM less VarNet, 1-D 8x; slope
over map error, implicit less explicit CIRIM), each at 5 %; all else describes. Dose and lesion
intervals are Student's t. Classical weights were tuned in each shifted cell, which favours them.
SNR 10 lies at the edge of training, not beyond it. Intervals in the figures are of each method;
compare methods by the paired rows. Nearly all networks took the higher of the two rates: a still
higher one was never tried. Time of one slice was taken on a busy machine. Sampling weights are cut
at 2 (uncut they start unstable). Two trainings, of cirim-265k and varnet-265k, were killed and went
on: the seconds before are not counted (416 s and 423 s stand below), and they are left out of the
target of equal time. An observer's AUC has no interval where it hardly finds the lesion.

**CIRIM is first in SSIM in none of the 25 cells.** By mean SSIM RIM leads in 12 (all 1-D), CS in 5
and CascadeNet in 4 (all 2-D or Poisson-disc), IRIM in 2 and VarNet with implicit consistency in 2.
CIRIM lacks .005 to .056 there, and .12 and .16 at SNR 5; no such interval holds 0. Of 25 cells each
in SSIM, paired: beside RIM, CIRIM is ahead in 1, behind in 21, no difference shown in 3; beside
IRIM 0, 22, 3; beside CascadeNet 3, 15, 7; beside CS 16, 5, 4; beside VarNet 22, 3 (noise), 0. At
equal parameters CascadeNet is ahead of CIRIM in all four cells; the large CIRIM had time for 542
steps. By NMSE and PSNR, CS is ahead of CIRIM in 11 cells and first of all there, in most of them
with about half the NMSE of the best network or less.

The first contrast was met: CIRIM less VarNet .056 (.046 to .068). The second was missed, the other
way round: per 10 % of smooth map error implicit CIRIM loses .0011 (.0003 to .0019) *more* SSIM than
explicit; shifted maps show no difference. Still, implicit consistency has the higher SSIM in all 25
cells, for CIRIM (by .09 at 20 % map error) and for VarNet; by NMSE and PSNR explicit CIRIM is ahead
of implicit in 8 of them, all 2-D or Poisson-disc. Sampling weights never show a gain over explicit
consistency in SSIM. Of inserted lesions CIRIM returns the most of all at equal training time, on
the mean and in both cells; the observer who knows the anatomy finds them in CIRIM's and in CS's
images with no difference shown in 2-D. Architectures are cut to what a core trains in minutes, and
the data are simulated: the paper's figures are neither confirmed nor refuted.
""",
        benchmark,
        command="mri benchmark",
        rows=summary_text,
    ),
    "cirim-speed": Section(
        """
CIRIM of 5 x 8 steps and 64 features on a random slice. *Bare* are its own convolutions and Fourier
transforms alone, as many, of the same shapes, on arrays that are padded already, in the same run;
*plain* is the formulation as published. Repeats of all forms take turns; the least counts. The bf16
target was missed in two attempts: between convolutions that AMX makes cheap, the multiplication of
the hidden state, the coil maps and the overhead of each call weigh most, and torch offers no single
pass for `ReLU(W u + b + w h)`.
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
    "mri-noise": Section(
        """
Heads of this simulator, 64 x 64, each measured at seven noise levels; 3 and 100 lie outside
training. One small CIRIM, trained for the same time: *aware* is shown the noise level of the scan's
own noise scan, *blind* is not, both on SNR 5 to 60; the third is blind and saw SNR 30 alone. Means
are over two trainings each, intervals over heads: they know of no other trainings. One contrast was
fixed beforehand (aware less blind, SSIM, SNR 5). A row whose interval holds 0 says *no difference
shown*; *told sigma x 2* and */ 2* is the aware network with a wrong level. The weight of compressed
sensing is the best of nine on validation heads, at each level.

**Missed, the other way round**: at SNR 5 the aware network is behind the blind one by .027 (.023 to
.032), and behind from SNR 5 to 100; it is ahead at SNR 3 alone. Told a level that is wrong by two,
it changes by .011 or less from SNR 5 to 40: it hardly uses it. The cause is not settled. Its two
trainings differ by .024 at SNR 5, which no interval here knows of, and it draws other first weights
than the blind one. Two changes were tried on two other series: weights of the level that start at
zero helped in one and harmed in the other, and with a level that hardly acts it was behind in both;
neither was taken. The time was missed too: the machine was busy, trainings took up to 23 % more
core-seconds than planned, and the blind ones 10 % more than the aware ones. In three pilots of
equal steps, one training each, the aware network was behind in two and ahead in one.
""",
        partial(noise.run_bench, seed=0),
    ),
    "mri-adapt": Section(
        """
One slice of one simulated head each, as the shipped CIRIM makes it and as it does adapted to it
(`--adapt`). Baseline: the same adaptation without the acceptance test. *Without the blend*: the
adapted network's image wherever a coil sees. The targets were fixed before any test scan was seen.
Samples cannot see what is painted into the air; the blend keeps the start there, and SSIM remains
an observation, not something that the test guarantees.
""",
        partial(adaptation.run_bench, seed=0),
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
as likely; *as made* is one stream, each case once. *Share outside the history*: each score alone
and in its own direction, case by case, beside the same 300 calibration cases: it is the share for
this one calibration, and 5 % at most on average over many. Rows that end with the name of a score
are of a stream of that score alone. These are the rates of the trust panel and of docs/safety.
""",
        partial(alarm.run_bench, seed=0, figure_path=IMAGES / "alarm.svg"),
    ),
    "alarm-faults": Section(
        """
How often each alarm that no other bench measures is raised: on cases with nothing wrong, and on
cases with a planted fault. Every case is written into files, read by their reader and, where the
alarm is one of results, made into a result by the job of the command line and asked as the trust
panel asks it; *swapped_arms*, *other_engine*, *mpp_unknown*, *stored_bytes* and *test_reopened* are
asked of the reader, job, store or split that says it. Scans (32 x 32), hearts and slides of this
simulator, nobody's. No limit of an alarm was set on these cases. Many hold by construction: their
rows show that the code keeps it, on few cases, and an interval says how few. A row of 0 with a
fault in it is a fault that the alarm cannot find, such as a file that says the wrong thing.
*network_behind*: scans of 64 x 64 whose SNR is drawn from 3 to 60, by the shipped CIRIM; which
image is nearer to the reference is known of a simulated scan, and the rows count scans of either
sort apart. *cannot_assess*: a probe on random features, classes far apart, so that the fault and
not the model decides; 1 patient in 10 is allowed to be wrong. *kept_start*: a small network that
was never trained learns from a scan, or from white noise, whose withheld samples a darker image
meets better: to have learnt that is no fault, which was understood after it was counted.
""",
        partial(alarm_faults.run_bench, seed=0),
    ),
    "mil-step": Section(
        """
Forward and backward pass of one training step over one bag of random features (1024, width 512,
float32), each in a process of its own. Memory is the peak beyond what the process held before, the
bag among that; on a CPU time is in core-seconds. It measures no method.
""",
        partial(mil_step.run_bench, seed=0),
    ),
    "viewer": Section(
        """
The screens in a real Chromium, beside a page with nothing but the library, on the same slide and
scan, with the same requests (simulated, on loopback). Every page is a new one of the browser; the
server has opened the slide and has its tiles in memory. *Widget to first tile*: from the start of
the widget, and of the bare page's script, the library's own loading included. *Next case* is from
the click in a page that is open, and *new page* from the address: both hold a run of Streamlit's
page, which the bare page has not. Of pages the least counts, of slice steps the median. A *slice
step* draws the images alone, without map, crosshair or difference, in as many panes of one size on
both sides; it ends when the graphics card, here a program in its place, is done.
*Reads* are scripts, not readers: from the worklist, through looking, a comment with its place and
a signature, to the next case. Their seconds are the program's; nobody thinks in them.
*Worklist*: no browser. A pass looks at the time of change of every case folder, reads what readers
filed, joins, filters, sorts, and makes the cells of the first page; the plain side reads as many
rows from one CSV file, filters and sorts them, and verifies, joins and keeps fresh nothing. The
garbage collector leaves alone what the list keeps; Streamlit is imported, as in the server.
""",
        partial(viewer.run_bench, seed=1),
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
    rows, targets = what.rows(report.rows), targets_text(report.targets)
    tables = f"\n```text\n{rows}\n```\n\n```text\n{targets}\n```\n"
    return f"{heading(name)}\n{what.words}{machine}{tables}"


def heading(name: str) -> str:
    """Return the line that a section begins with."""
    return f"\n## `medconsist {SECTIONS[name].command.format(name=name)}`"


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
