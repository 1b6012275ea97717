# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Remedies for imbalance, side by side
#
# A scan sees tens of thousands of windows of background for one of an object. Many remedies exist:
# choose the negatives, weigh them, change the loss, make up more objects. **The question: which of
# them helps a small detector, and which differences are no more than luck?**
#
# You will see what some remedies do to the pull of a sample on the classifier, then six of them
# trained with several seeds on the same faces, and which differences exceed the noise.
#
# Some minutes on two cores; with `--quick` three remedies, two seeds and less of everything.

# %%
import numpy as np
from _common import BLUE, GREEN, GREY, ORANGE, RED, plt, start

import bootstrap_det as bd
from bootstrap_det.channels import default_channels
from bootstrap_det.classifiers.losses import make_loss
from bootstrap_det.comparison import JobTrial, compare_strategies, summarise
from bootstrap_det.imbalance import available
from bootstrap_det.mining import Recipe
from bootstrap_det.runs import Job

lesson = start("imbalance_remedies")
STRATEGIES = ["bootstrap", "random", "focal"]
if not lesson.quick:
    STRATEGIES += ["hard-negative:ratio=2", "class-weight", "smote"]
SEEDS = range(2 if lesson.quick else 3)
COLORS = {"baseline": BLUE, "better": GREEN, "worse": RED, "within noise": GREY}

# %% [markdown]
# ## What there is
#
# Every remedy has a name, some have parameters, and two are joined by `+`. `docs/imbalance.md` says
# what each of them does, and what it was measured to bring.

# %%
print(", ".join(available()))

# %% [markdown]
# ## How much a window pulls
#
# A loss says how much a sample pulls on the classifier: the size of its derivative. A negative
# should score low. The squared hinge of a support vector machine pulls in proportion to the error
# and not at all beyond the margin, at -1. The logistic loss never lets go: many easy windows
# together may pull more than a few hard ones. Focal loss (Lin et al. 2017) pulls less the easier
# the window is.

# %%
scores = np.linspace(-4, 3, 300)
figure, axes = plt.subplots(figsize=(6, 3.4))
for name, color in (("squared-hinge", BLUE), ("logistic", ORANGE), ("focal", RED)):
    pull = np.abs(make_loss(name).gradient(scores, np.zeros(len(scores))))
    axes.plot(scores, pull, color=color, label=name)
axes.axvline(0, color=GREY, linewidth=0.8)
axes.set_ylim(0, 3)
axes.set(xlabel="score of a negative window", ylabel="pull on the classifier")
axes.set_title("right of 0 it is a false positive, far left it is easy")
axes.legend()
lesson.show(figure, "1_pull")

# %% [markdown]
# ## The same everything else
#
# A fair comparison holds all but one thing fixed: the same faces, pictures, budget of negatives,
# test scenes, and for every remedy the same seeds. A `Job` is one such training with its test; a
# comparison varies its strategy and its seed. Each trial runs on one thread.

# %%
data = bd.load_dataset("faces")
channels = default_channels("acf", "svm")
pyramid = bd.Pyramid(scales_per_octave=4 if lesson.quick else 8, min_object_size=24.0)
recipe = Recipe(bd.Window((32, 32)), channels, pyramid, "face", bd.LinearLearner(C=0.003))
budget = 500 if lesson.quick else 2000
job = Job(
    name="faces",
    train=data.train,
    negatives=data.negatives.subset(range(2, 30, 3)) if lesson.quick else data.negatives,
    test=data.test,
    recipes=(recipe,),
    jitter=bd.Jitter(n_copies=3 if lesson.quick else 10),
    params=bd.BootstrapParams(
        n_rounds=1 if lesson.quick else 2,
        n_random_negatives=budget,
        n_negatives_per_round=budget,
    ),
    out=lesson.out,
)
print(job.headline())

# %% [markdown]
# ## Train them all
#
# Every outcome is a small file. Run this again, and only what is missing is trained. Change the
# data or a parameter, and old outcomes are refused, since they are of another experiment: remove
# the folder `trials_of_...`, or give another `--out`.

# %%
outcomes = compare_strategies(
    JobTrial(job),
    STRATEGIES,
    SEEDS,
    lesson.out / f"trials_of_{budget}",
    n_jobs=lesson.jobs,
    on_outcome=lambda outcome, was_there: print(
        f"{outcome.strategy:<22} seed {outcome.seed}  AP {outcome.ap:.3f}  "
        f"{'was there' if was_there else f'{outcome.seconds:.0f} s'}"
    ),
)

# %% [markdown]
# ## Mean, spread, verdict
#
# Below, a point is one seed, the bar is mean and deviation. A difference from plain bootstrapping
# counts when it exceeds twice `sqrt(s1² + s2²)`, in which s1 and s2 are the deviations of single
# runs. All else is noise: grey. Two or three seeds give a poor estimate of a deviation; treat a
# verdict that lies near its limit as open.

# %%
rows = summarise(outcomes)
for row in rows:
    print(
        f"{row.strategy:<22} AP {row.mean['ap']:.3f} ± {row.deviation['ap']:.3f}  "
        f"{row.difference:+.3f}  {row.mean['n_negatives']:>6,.0f} negatives  {row.verdict}"
    )

ranked = sorted(rows, key=lambda row: row.mean["ap"])
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9.5, 1.4 + 0.42 * len(rows)), sharey=True, width_ratios=(3, 2)
)
for height, row in enumerate(ranked):
    color = COLORS[row.verdict]
    aps = [outcome.ap for outcome in outcomes if outcome.strategy == row.strategy]
    left.plot(aps, [height] * len(aps), "o", color=color, alpha=0.4)
    left.errorbar(row.mean["ap"], height, xerr=row.deviation["ap"], fmt="|", color=color, capsize=4)
    right.barh(height, row.mean["n_negatives"], color=color, alpha=0.6)
left.axvline(rows[0].mean["ap"], color=BLUE, linewidth=0.8)
left.set_yticks(range(len(ranked)), [f"{row.strategy}\n{row.verdict}" for row in ranked])
left.set_title("average precision: each seed, mean and deviation")
right.set_title("negatives in the last fit")
lesson.show(figure, "2_strategies")

# %% [markdown]
# ## How far is far?
#
# The same as a difference from bootstrapping, with the width of the noise. A point inside its band
# says: with these seeds, no difference can be told. It does not say that there is none. And seeds
# cover the randomness of a training only, not the choice of objects and pictures: with 33 test
# faces, one face is 0.03 of recall.

# %%
others = [row for row in ranked if row.verdict != "baseline"]
figure, axes = plt.subplots(figsize=(7, 1.2 + 0.4 * len(others)))
for height, row in enumerate(others):
    noise = 2 * np.hypot(row.deviation["ap"], rows[0].deviation["ap"])
    axes.barh(height, 2 * noise, left=-noise, height=0.5, color=GREY, alpha=0.25)
    axes.plot(row.difference, height, "o", color=COLORS[row.verdict])
axes.axvline(0, color=BLUE, linewidth=0.8)
axes.set_yticks(range(len(others)), [row.strategy for row in others])
axes.set_title("average precision minus that of bootstrap; grey: within noise")
lesson.show(figure, "3_noise")

# %% [markdown]
# ## Exercises
#
# 1. Join two remedies, such as `hard-negative:ratio=2+augment`. Is the whole more than its parts?
# 2. Run `bootstrap` against itself under two names, such as `bootstrap` and `hard-negative` with a
#    very large ratio. What does the verdict say, and what should it say?
# 3. With twenty remedies and no true difference, how many verdicts would you expect to be wrong?
#    How would you guard against that?
# 4. Keep as many negatives as there are positives, the hardest: `hard-negative:ratio=1`. What does
#    the detector no longer know, and how do its false positives look?
