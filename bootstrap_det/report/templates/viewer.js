"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("threshold");
  const chooser = document.getElementById("stage");
  const shown = document.getElementById("threshold-value");
  const figures = Array.from(document.querySelectorAll("#gallery figure"));
  const CLASSES = ["hit", "false", "ignored"];
  const SVG = document.querySelector("svg").namespaceURI;

  function addBox(svg, box, kind, text) {
    for (const name of ["halo", "box " + kind]) {
      const rect = document.createElementNS(SVG, "rect");
      rect.setAttribute("class", name);
      rect.setAttribute("x", box[0]);
      rect.setAttribute("y", box[1]);
      rect.setAttribute("width", Math.max(box[2] - box[0], 1));
      rect.setAttribute("height", Math.max(box[3] - box[1], 1));
      if (name !== "halo") {
        const title = document.createElementNS(SVG, "title");
        title.textContent = text;
        rect.appendChild(title);
      }
      svg.appendChild(rect);
    }
  }

  function addTag(svg, picture, box, label, kind) {
    if (data.labels.length < 2 || label < 0) { return; }
    const size = Math.max(picture.width, picture.height) / 32;
    const text = document.createElementNS(SVG, "text");
    text.setAttribute("class", "tag " + kind + "-tag");
    const isRight = box[0] > 0.7 * picture.width; // else the text would run past the border
    text.setAttribute("x", isRight ? box[2] : box[0]);
    text.setAttribute("text-anchor", isRight ? "end" : "start");
    text.setAttribute("y", box[1] > 1.3 * size ? box[1] - 0.3 * size : box[3] + size);
    text.setAttribute("font-size", size);
    text.textContent = data.labels[label];
    svg.appendChild(text);
  }

  function plural(n, one, more) { return n + " " + (n === 1 ? one : more); }

  function named(label, text) {
    return data.labels.length > 1 && label >= 0 ? data.labels[label] + ": " + text : text;
  }

  // Judged once, by falling score: a threshold only takes detections away.
  function drawPicture(figure, picture, stage, threshold) {
    const svg = figure.querySelector("svg");
    const found = new Set();
    const counts = { hits: 0, misses: 0, false: 0 };
    svg.replaceChildren();
    const accepted = picture.stages[stage].filter((row) => row[0] >= threshold);
    for (const row of accepted) {
      if (row[5] === 0) { counts.hits += 1; found.add(row[6]); }
      if (row[5] === 1) { counts.false += 1; }
    }
    picture.objects.forEach(function (object, index) {
      const counted = object[5] === 1 && data.stages[stage].labels.includes(object[4]);
      if (object[5] === 0) { addBox(svg, object, "ignored", "need not be found"); }
      if (counted && !found.has(index)) {
        counts.misses += 1;
        addBox(svg, object, "miss", named(object[4], "missed"));
        addTag(svg, picture, object, object[4], "miss");
      }
    });
    for (const row of accepted.reverse()) {
      const verdict = ["hit", "false alarm", "counts neither way"][row[5]];
      addBox(svg, row.slice(1, 5), CLASSES[row[5]], named(row[7], verdict + ", score " + row[0].toFixed(2)));
      if (row[5] !== 2) { addTag(svg, picture, row.slice(1, 5), row[7], CLASSES[row[5]]); }
    }
    const said = [plural(counts.hits, "hit", "hits"), plural(counts.misses, "miss", "misses"),
                  plural(counts.false, "false alarm", "false alarms")].join(", ");
    figure.querySelector(".counts").textContent = said;
    svg.setAttribute("aria-label", "Boxes in " + picture.name + ": " + said);
    return counts;
  }

  function share(part, whole) {
    return whole > 0 ? (part / whole).toFixed(3) : "-";
  }

  function write(id, counts, nPictures) {
    const values = {
      hits: counts.hits, misses: counts.misses, false: counts.false,
      recall: share(counts.hits, counts.hits + counts.misses),
      precision: share(counts.hits, counts.hits + counts.false),
      rate: nPictures > 0 ? (counts.false / nPictures).toFixed(2) : "-",
    };
    for (const cell of document.querySelectorAll("#" + id + " [data-of]")) {
      cell.textContent = values[cell.dataset.of];
    }
  }

  function draw() {
    const index = Number(slider.value);
    const stage = Number(chooser.value);
    const threshold = data.thresholds[index];
    const sum = { hits: 0, misses: 0, false: 0 };
    figures.forEach(function (figure, number) {
      const counts = drawPicture(figure, data.pictures[number], stage, threshold);
      for (const name of Object.keys(sum)) { sum[name] += counts[name]; }
    });
    const entry = data.stages[stage];
    const all = { hits: entry.hits[index], false: entry.false[index],
                  misses: entry.n_objects - entry.hits[index] };
    write("totals-shown", sum, figures.length);
    write("totals-all", all, data.n_pictures);
    shown.textContent = String(threshold);
    slider.setAttribute("aria-valuetext", "score " + threshold);
  }

  slider.addEventListener("input", draw);
  chooser.addEventListener("change", draw);
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  draw();
})();
