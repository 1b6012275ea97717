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
# # What a detector sees
#
# A classical detector never sees pixels. It sees features: how strong edges are, and which way they
# run, in small cells. **The question: what is left of a face in them, and what is gone?**
#
# You will see histograms of oriented gradients as glyphs, the channels of aggregated channel
# features, the same at several scales of the pyramid, what normalisation makes of a dark picture,
# and the weights of a template that was trained on faces.
#
# Half a minute on two cores; `--quick` trains the template on less.

# %%
import numpy as np
from _common import draw, plt, start
from matplotlib.collections import LineCollection

import bootstrap_det as bd
from bootstrap_det.channels import default_channels
from bootstrap_det.images import to_grey
from bootstrap_det.pyramid import make_level
from bootstrap_det.report.anatomy import cell_orientations

lesson = start("features_seen")
data = bd.load_dataset("faces")
photograph = data.test.pictures[-1].load("rgb")
x1, y1, x2, y2 = (int(v) for v in data.test.pictures[-1].boxes[0])
portrait = photograph[y1 - 60 : y2 + 60, x1 - 60 : x2 + 60]
grey = to_grey(portrait)

# %% [markdown]
# ## Histograms of oriented gradients
#
# Dalal and Triggs (2005): in each cell of 8x8 pixels, count gradients by direction, weighed by
# their strength; then make each block of 2x2 cells independent of contrast. A glyph draws each
# direction as a stroke along the edge, bright where it is strong. `epsilon` is a floor in grey
# levels, without which the noise of the flat wall behind would look like edges.
#
# Find the eyes, the mouth, the outline of the head. What tells you that it is a person?


# %%
def draw_glyphs(axes, cells, title, cell_size=1.0):
    """Draw orientations over cells, shape (n_bins, rows, columns), as strokes along the edges."""
    n_bins, n_rows, n_columns = cells.shape
    bins, rows, columns = np.nonzero(cells > 0.04 * cells.max())
    angles = (bins + 0.5) * np.pi / n_bins + np.pi / 2  # an edge is across its gradient
    middle = np.stack([columns + 0.5, rows + 0.5], axis=-1)
    half = 0.46 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    strokes = cell_size * np.stack([middle - half, middle + half], axis=1)
    strength = (cells[bins, rows, columns] / cells.max()) ** 1.5  # so that weak ones recede
    axes.add_collection(LineCollection(strokes, colors="white", alpha=strength, linewidths=1.3))
    axes.set(xlim=(0, cell_size * n_columns), ylim=(cell_size * n_rows, 0), aspect="equal")
    axes.set(xticks=[], yticks=[], facecolor="black", title=title)
    axes.grid(False)


hog = bd.HOG(cell_size=8, n_orientations=9, epsilon=10.0)
cells = cell_orientations(hog.compute(grey), hog.block_size, hog.n_orientations)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.3))
draw(left, portrait, f"{portrait.shape[1]}x{portrait.shape[0]} pixels")
draw_glyphs(right, cells, f"{cells.shape[2]}x{cells.shape[1]} cells of {cells.shape[0]} directions")
lesson.show(figure, "1_hog_glyphs")

# %% [markdown]
# ## Channels
#
# Aggregated channel features (Dollar et al. 2014) keep more kinds of pictures at less cost: colours
# (L is lightness, u and v are hue), gradient magnitude, and the magnitude split by direction,
# each summed over blocks of 2x2 pixels. Everything is a byte.
#
# In which channel are the eyes clearest? Which two channels are most alike?

# %%
acf = bd.ACF(color="rgb", normalise="none")
channels = acf.compute(portrait)
degrees = [f"gradient at {180 * k // acf.n_orientations}°" for k in range(acf.n_orientations)]
names = ["L", "u", "v", "gradient magnitude", *degrees]
figure, axes = plt.subplots(2, 5, figsize=(10.5, 4.9))
for each, channel, name in zip(axes.flat, channels, names, strict=True):
    draw(each, channel, name)
lesson.show(figure, "2_channels")

# %% [markdown]
# ## The pyramid
#
# A template has one size; objects have many. So the picture is made smaller step by step, channels
# are computed at each step, and the same template is moved over all of them. The square is a window
# of 32x32 pixels, always the same: it holds a nose at the largest level shown, and the whole face
# at another. Which one?

# %%
window = bd.Window((32, 32))
pyramid = bd.Pyramid(scales_per_octave=8, padding=0)
plain = bd.ACF(normalise="none")
plans = pyramid.plan(grey.shape, plain, [window])[::5]
figure, axes = plt.subplots(
    1, len(plans), figsize=(9.5, 4.4), width_ratios=[plan.size[1] for plan in plans]
)
for each, plan in zip(axes, plans, strict=True):
    magnitude = plain.compute(make_level(grey, plan))[1]
    draw(each, magnitude, f"{plan.size[1]} px")
    each.set_anchor("S")
    side = window.size[0] / plain.cell_size
    corner = ((magnitude.shape[1] - side) / 2 - 0.5, (magnitude.shape[0] - side) / 2 - 0.5)
    each.add_patch(plt.Rectangle(corner, side, side, fill=False, color="#ffb000", linewidth=1.6))
figure.suptitle(
    "gradient magnitude at every fifth level, and the width of the level",
    x=0.01,
    ha="left",
    fontsize=10,
)
lesson.show(figure, "3_pyramid")

# %% [markdown]
# ## A window, as it is and normalised
#
# The same face as it is, at a third of the contrast, and dark. As they are, the channels of the
# three differ. Normalised, each window sees its lightness minus its own mean, over its own
# deviation, and gradients over their own mean: the three are nearly the same, but for rounding and
# for the floor that keeps noise from being taken for edges. All maps of a row share one grey scale.

# %%
face = data.train.crops.pixels[7].astype(np.float32)
versions = {
    "as it is": face,
    "low contrast": 128 + (face - face.mean()) / 3,
    "dark": face * 0.3,
}
seen = bd.ACF(normalise="window")
n_rows, n_columns = seen.grid_shape(face.shape)
n_own = seen.n_channels
maps = {0: "lightness", 1: "magnitude", n_own: "lightness,\nnormalised"}
maps[n_own + 1] = "magnitude,\nnormalised"
figure, axes = plt.subplots(len(maps) + 1, len(versions), figsize=(5.6, 8.4))
for column, (title, crop) in enumerate(versions.items()):
    pixels = np.clip(np.rint(crop), 0, 255).astype(np.uint8)
    values = seen.window_features(seen.compute(pixels), (n_rows, n_columns), [0], [0])
    values = values.reshape(-1, n_rows, n_columns)
    draw(axes[0, column], pixels, title, vmin=0, vmax=255)
    for row, index in enumerate(maps, start=1):
        draw(axes[row, column], values[index], vmin=0, vmax=255)
for row, name in enumerate(["pixels", *maps.values()]):
    axes[row, 0].set_ylabel(name)
lesson.show(figure, "4_window_normalised")

# %% [markdown]
# ## A template
#
# A linear template is a weight for each direction in each cell. The score of a window is the sum of
# its features times these weights, so the template is itself a picture: of what speaks for a face,
# and of what speaks against one. This one is trained on 80 faces and one round of mining.

# %%
hog = default_channels("hog")
trained = bd.train(
    data.train,
    negatives=data.negatives.subset(range(2, 30, 3)) if lesson.quick else data.negatives,
    window=(32, 32),
    channels=hog,
    learner=bd.LinearLearner(C=1.0),
    pyramid=bd.Pyramid(scales_per_octave=4, min_object_size=24.0),
    params=bd.BootstrapParams(
        n_rounds=1,
        n_random_negatives=500 if lesson.quick else 2000,
        n_negatives_per_round=500 if lesson.quick else 2000,
        n_jobs=lesson.jobs,
    ),
)
model = trained.detector.templates[0].model
weights = cell_orientations(model.weights, hog.block_size, hog.n_orientations)
half = hog.n_orientations // 2  # signed: dark to bright and bright to dark are told apart
weights = weights[:half] + weights[half:]
figure, axes = plt.subplots(1, 3, figsize=(10, 3.7))
draw(axes[0], data.train.crops.pixels.mean(axis=0), "mean of the faces trained on")
draw_glyphs(axes[1], np.maximum(weights, 0), "what speaks for a face")
draw_glyphs(axes[2], np.maximum(-weights, 0), "what speaks against one")
lesson.show(figure, "5_template")

# %% [markdown]
# ## Where the template looks
#
# The sum of all weights in each cell: red speaks for a face when there is an edge of any direction,
# blue against one. Then the same template moved over one level of the photograph: the score at each
# position. The brightest spot should be the face. What are the next ones?

# %%
detector = trained.detector
found = detector.detect(photograph, threshold=-1.0)
best = found[:1]
level = min(
    detector.plan(photograph.shape[:2]),
    key=lambda plan: abs(32 / plan.scale[0] - (best.boxes[0, 3] - best.boxes[0, 1])),
)
values = hog.compute(make_level(to_grey(photograph), level))
shape = model.weights.shape[1:]
positions = np.indices(np.subtract(values.shape[1:], shape) + 1).reshape(2, -1)
scores = model.decision_function(hog.window_features(values, shape, *positions))
score_map = scores.reshape(np.subtract(values.shape[1:], shape) + 1)

figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.6))
total = weights.sum(axis=0)
draw(axes[0], total, "sum of the weights", cmap="RdBu_r", vmin=-total.max(), vmax=total.max())
drawn = bd.draw_detections(photograph, best)
draw(axes[1], drawn, f"best window of {len(found)} above -1: {best.scores[0]:.2f}")
image = axes[2].imshow(score_map, cmap="magma", vmin=-4)
figure.colorbar(image, ax=axes[2], shrink=0.8, label="score")
axes[2].set(title=f"one level, {level.size[1]} px wide: score by position", xticks=[], yticks=[])
axes[2].grid(False)
lesson.show(figure, "6_where_it_looks")

# %% [markdown]
# ## Exercises
#
# 1. Draw the glyphs of a picture of your own with cells of 4 and of 16 pixels. At which size can
#    you no longer tell what it shows?
# 2. Turn the photograph upside down, or make its negative (255 minus it). Which features change,
#    and what does the detector find? Then train with `signed=False`.
# 3. Raise `n_rounds` to 3. What disappears from the score map, and what stays?
# 4. Which of the normalisations of `bd.ACF` would you take for traffic signs, whose colour matters?
