"""Matching of detections to objects, written to be obviously right; imports nothing."""


def overlap(found, truth, by_detection_area):
    """Intersection over union, or over the detection's area."""
    width = min(found[2], truth[2]) - max(found[0], truth[0])
    height = min(found[3], truth[3]) - max(found[1], truth[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    area_found = (found[2] - found[0]) * (found[3] - found[1])
    area_truth = (truth[2] - truth[0]) * (truth[3] - truth[1])
    return shared / (area_found if by_detection_area else area_found + area_truth - shared)


def best_of(candidates):
    """Index of the greatest overlap; among equals COCO takes the last."""
    best, best_overlap = None, 0.0
    for index, value in candidates:
        if value >= best_overlap:
            best, best_overlap = index, value
    return best


def match_picture(truth, found, label, threshold):
    """Judge one picture: [(score, verdict, rank)] in falling order, and the missed objects.

    ``truth`` is a list of (box, label, ignore, crowd), ``found`` a list of (box, score, label).
    """
    targets = [
        i
        for i, (_, name, ignore, crowd) in enumerate(truth)
        if name == label and not ignore and not crowd
    ]
    excused = [
        i for i, (_, name, ignore, crowd) in enumerate(truth) if name == label and (ignore or crowd)
    ]
    ranks = [k for k, (_, _, name) in enumerate(found) if name == label]
    taken, judged = set(), []
    for k in sorted(ranks, key=lambda k: (-found[k][1], k)):
        box, score, _ = found[k]
        overlaps = {i: overlap(box, truth[i][0], truth[i][3]) for i in targets + excused}
        hit = best_of(
            [(i, overlaps[i]) for i in targets if i not in taken and overlaps[i] >= threshold]
        )
        if hit is not None:
            taken.add(hit)
            judged.append((score, "hit", k))
        elif any(overlaps[i] >= threshold for i in excused):
            judged.append((score, "ignored", k))
        else:
            judged.append((score, "false", k))
    return judged, [i for i in targets if i not in taken]


def match(truths, founds, label, threshold):
    """Judge all pictures: [(score, verdict, picture, rank)] in falling order, missed, n_objects."""
    rows, missed = [], []
    for picture, (truth, found) in enumerate(zip(truths, founds, strict=True)):
        judged, lost = match_picture(truth, found, label, threshold)
        rows += [(score, verdict, picture, rank) for score, verdict, rank in judged]
        missed.append(lost)
    rows.sort(key=lambda row: -row[0])
    n_objects = sum(1 for row in rows if row[1] == "hit") + sum(map(len, missed))
    return rows, missed, n_objects


def average_precision(rows, n_objects):
    """COCO's mean over 101 recalls of the best precision at that recall or beyond."""
    points, hits, false = [], 0, 0
    for _, verdict, *_ in rows:
        hits += verdict == "hit"
        false += verdict == "false"
        if hits + false:
            points.append((hits / n_objects, hits / (hits + false)))
    total = 0.0
    for i in range(101):  # i * 0.01, with its rounding, are COCO's recalls; 70 / 100 is less
        total += max((p for recall, p in points if recall >= i * 0.01), default=0.0)
    return total / 101


def recall_at(rows, n_objects, limit):
    """Greatest recall of a threshold that accepts at most ``limit`` false positives."""
    best = 0.0
    for threshold in {row[0] for row in rows}:
        accepted = [row[1] for row in rows if row[0] >= threshold]
        if accepted.count("false") <= limit:
            best = max(best, accepted.count("hit") / n_objects)
    return best
