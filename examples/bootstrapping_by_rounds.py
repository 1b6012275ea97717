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
# # Bootstrapping, one round at a time
#
# A picture without faces holds some ten thousand windows that are not faces. Which of them should
# a face detector be trained on? Sung and Poggio (1994) answered: on those that it takes for faces.
# Train on random negatives, scan pictures without the object, add the false positives, retrain.
#
# You will see each round of that loop: what the detector takes for faces, how this is added, and
# what it is worth. **The question: does it matter which negatives are added, or only how many?**
# So the last part adds as many random negatives instead.
#
# A few minutes on two cores; with `--quick` on fewer pictures and windows, under a minute.

# %%
from dataclasses import replace

import numpy as np
from _common import BLUE, GREY, ORANGE, draw, plt, start

import bootstrap_det as bd
from bootstrap_det.boxes import overlap
from bootstrap_det.channels import default_channels
from bootstrap_det.evaluation import precision_recall
from bootstrap_det.plots import GREEN, RED, cut_out, draw_box
from bootstrap_det.windows import windows_to_boxes

lesson = start("bootstrapping_by_rounds")
N_ROUNDS = 2 if lesson.quick else 3  # after round 0

# %% [markdown]
# ## The data
#
# 80 faces of 25x25 pixels, pictures without people to mine, and test scenes: faces that were held
# out, pasted into pictures that were held out, and one photograph. A demonstration, no benchmark.

# %%
data = bd.load_dataset("faces")
faces, test = data.train, data.test
negatives = data.negatives.subset(range(2, 30, 3)) if lesson.quick else data.negatives
print(f"{len(faces.crops)} faces, {len(negatives)} pictures to mine, {len(test)} test scenes")

figure, rows = plt.subplots(2, 8, figsize=(10, 2.9))
for axes, crop in zip(rows[0], faces.crops.pixels[::10], strict=False):
    draw(axes, crop)
for axes, picture in zip(rows[1], data.negatives.pictures, strict=False):
    draw(axes, picture.load("rgb"))
rows[0, 0].set_title("faces to train on")
rows[1, 0].set_title("pictures without faces")
lesson.show(figure, "1_data")

# %% [markdown]
# ## One round
#
# `bd.train` runs all rounds in one call. It also goes on from where another call ended: `states`
# holds the negatives so far, the detector, and the record of each round. So the loop can be ours,
# and between two rounds we can look at anything.
#
# The classifier is a linear support vector machine on aggregated channels. It has the same size
# and the same regularisation in every round: what changes is the negatives alone.

# %%
params = bd.BootstrapParams(
    n_random_negatives=500 if lesson.quick else 2000,  # of round 0
    n_negatives_per_round=500 if lesson.quick else 2000,  # of each round after
    n_negatives_per_image=100,
    seed=0,
    n_jobs=lesson.jobs,
)


def one_more_round(states, strategy="bootstrap"):
    """Return the training that goes one round further than `states`."""
    n_done = len(states[0].records) if states else 0
    return bd.train(
        faces,
        negatives=negatives,
        window=(32, 32),
        channels=default_channels("acf", "svm"),
        pyramid=bd.Pyramid(scales_per_octave=4 if lesson.quick else 8, min_object_size=24.0),
        learner=bd.LinearLearner(C=0.003),
        jitter=bd.Jitter(n_copies=3 if lesson.quick else 10),
        strategy=strategy,
        params=replace(params, n_rounds=n_done),
        states=states,
    )


# %% [markdown]
# ## The loop
#
# Round 0 trains on random windows. Each later round scans the pictures with the detector of the
# round before, adds the windows that score highest, and fits anew on all that it holds. Windows
# count from -1, the margin of the support vector machine: not only false positives, near ones too.
# After each round the detector is measured on the test scenes, which play no part in training.


# %%
def hardest_windows(state, n):
    """Return crop and score of the windows that the last round found hardest.

    Round 0 has no scores: of its windows, which are in the order of the pictures, some of each.
    """
    pictures = {picture.image_id: picture for picture in negatives.pictures}
    window = state.detector.templates[0].window
    step = 1 if state.mined_scores.any() else len(state.mined_scores) // n
    chosen = zip(state.mined_identities[::step], state.mined_scores[::step], strict=True)
    shown = []
    for (image_id, level, row, column, _), score in list(chosen)[:n]:
        image = pictures[image_id].load("rgb")
        plan = state.detector.plan(image.shape[:2])[level]
        box = windows_to_boxes(plan, window, [row], [column])[0]
        shown.append((cut_out(image, box), score))
    return shown


def train_rounds(strategy):
    """Return what each round led to: detector, record, measures, hardest negatives."""
    states, rounds = (), []
    for _ in range(N_ROUNDS + 1):
        result = one_more_round(states, strategy)
        states = result.states
        record = result.records[-1]
        measured = bd.evaluate_detector(result.detector, test, n_jobs=lesson.jobs).evaluation
        rounds.append((result.detector, record, measured, hardest_windows(states[0], 12)))
        print(
            f"{strategy:<9}  round {record.round}  {record.n_negatives:>6,} negatives  "
            f"{measured.false_positives_per_image:6.2f} false positives a test scene  "
            f"AP {measured.ap:.3f}"
        )
    return rounds


mined = train_rounds("bootstrap")

# %% [markdown]
# ## What the detector takes for a face
#
# One picture of those that are mined, and one test scene, by the detector of each round, at score 0
# and more: hits are green, mistakes red. Everything in the upper row is a mistake. Look at where
# they fall, and whether the faces below are still found when the mistakes are gone.


# %%
def judged(picture, found):
    """Return a picture with the detections drawn: green on an object, red on nothing."""
    canvas = picture.load("rgb").copy()
    on_object = overlap(found.boxes, picture.boxes).max(axis=1, initial=0.0) >= 0.5
    for box, hit in sorted(zip(found.boxes, on_object, strict=True), key=lambda pair: pair[1]):
        draw_box(canvas, box, GREEN if hit else RED)
    return canvas


mined_picture = next(p for p in negatives.pictures if p.name.startswith("chelsea"))
scene = test.pictures[0]
figure, rows = plt.subplots(2, len(mined), figsize=(2.9 * len(mined), 4.6), squeeze=False)
for index, (detector, *_) in enumerate(mined):
    for axes, picture in zip(rows[:, index], (mined_picture, scene), strict=True):
        found = detector.detect(picture.load("grey"))
        what = "mined picture" if picture is mined_picture else "test scene"
        draw(axes, judged(picture, found), f"round {index}, {what}: {len(found)} found")
lesson.show(figure, "2_what_is_found")

# %% [markdown]
# ## The hardest negatives of each round
#
# The windows that scored highest when a round scanned, and their scores. Round 0 has not scanned
# anything, its windows are random. What later rounds find looks like a face to the detector:
# bright and round before something dark, coins with heads on them. What do they share with the
# faces of figure 1? Scores fall from round to round: what is left to mine is less and less like a
# face.

# %%
figure, rows = plt.subplots(len(mined), 12, figsize=(11, 1.15 * len(mined)))
for index, (*_, windows) in enumerate(mined):
    for axes, (crop, score) in zip(rows[index], windows, strict=False):
        draw(axes, crop)
        axes.set_title(f"{score:.2f}" if index else "random", fontsize=7, loc="center")
    rows[index, 0].set_ylabel(f"round {index}")
lesson.show(figure, "3_hardest_negatives")

# %% [markdown]
# ## The control: as many negatives, all random
#
# The same loop, the same numbers of negatives, but drawn at random in every round.

# %%
at_random = train_rounds("random")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
for name, rounds, color in (("mined", mined, BLUE), ("random", at_random, ORANGE)):
    n_negatives = [record.n_negatives for _, record, _, _ in rounds]
    false = [measured.false_positives_per_image for _, _, measured, _ in rounds]
    left.plot(n_negatives, np.maximum(false, 0.01), "o-", color=color, label=name)
    right.plot(n_negatives, [m.ap for _, _, m, _ in rounds], "o-", color=color, label=name)
for axes in (left, right):
    axes.set_xlabel("negatives trained on; a point is a round")
    axes.set_xlim(0)
    axes.legend(title="negatives added", loc="lower right" if axes is right else "lower left")
left.set_yscale("log")
left.set_ylim(0.5, 200)
left.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
left.minorticks_off()
left.set_title("false positives a test scene, at score 0")
right.set_title("average precision on the test scenes")
right.set_ylim(0, 1)
lesson.show(figure, "4_mined_or_random")

# %% [markdown]
# ## Precision and recall by round
#
# False positives at score 0 fall also when a detector simply becomes stricter. The curve has no
# threshold: it shows whether faces are ranked before mistakes. Dashed is the last round with
# random negatives.

# %%
figure, axes = plt.subplots(figsize=(7.4, 4))
shades = plt.get_cmap("Blues")(np.linspace(0.35, 1.0, len(mined)))
for (_, record, measured, _), shade in zip(mined, shades, strict=True):
    precision, recall, _ = precision_recall(measured.matches)
    name = f"round {record.round}: AP {measured.ap:.2f}"
    axes.plot(recall, precision, color=shade, label=name)
precision, recall, _ = precision_recall(at_random[-1][2].matches)
name = f"random, as many: AP {at_random[-1][2].ap:.2f}"
axes.plot(recall, precision, "--", color=GREY, label=name)
axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
axes.set_title("test scenes, a hit from an overlap of 0.5")
axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
lesson.show(figure, "5_precision_recall")

# %% [markdown]
# ## Exercises
#
# 1. Set `mining_threshold=0.0` in the parameters: only false positives are mined, not near ones.
#    What changes in the number of negatives, in the false positives, in the average precision?
# 2. How many random negatives does it take to get where mining gets with the least of its rounds?
#    Raise `n_random_negatives` and leave out the later rounds.
# 3. Change the seed. Which of the differences in figure 4 are larger than those between two seeds?
# 4. The hardest negatives could hold faces that nobody noticed. What would mining do to a detector
#    then, and how would you see it in figure 3?
