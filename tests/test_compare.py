"""Comparing strategies: what counts as noise, going on after a cut, the files, the command."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det.cli import main
from bootstrap_det.cli_compare import split_specs
from bootstrap_det.comparison import (
    JobTrial,
    Outcome,
    compare_strategies,
    outcome_path,
    run_trial,
    summarise,
)
from bootstrap_det.comparison_report import FILES, as_markdown, plot, write_comparison
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.mining import BootstrapParams
from bootstrap_det.runs import Job


def outcome(strategy, seed, ap):
    return Outcome(strategy, seed, ap, 0.5, 0.6, 0.1, 10, 20, 30, 1.5)


@pytest.fixture(scope="module")
def job(linear_toy, tmp_path_factory):
    toy = linear_toy
    params = BootstrapParams(**{**toy.small, "n_rounds": 1})
    out = tmp_path_factory.mktemp("compare") / "run"
    return Job("toy", toy.dataset, toy.negatives, (toy.recipe,), out, toy.dataset, params=params)


def test_a_difference_counts_beyond_two_deviations():
    # Deviations 0.01 and 0.01: twice their hypotenuse is 0.0283.
    base = [outcome("bootstrap", seed, 0.5 + d) for seed, d in enumerate((-0.01, 0, 0.01))]
    for shift, verdict in ((0.028, "within noise"), (0.029, "better"), (-0.029, "worse")):
        other = [replace(o, strategy="other", ap=o.ap + shift) for o in base]
        rows = summarise([*base, *other])
        assert [row.verdict for row in rows] == ["baseline", verdict]
        assert math.isclose(rows[1].difference, shift)
        assert math.isclose(rows[0].deviation["ap"], 0.01)


def test_one_seed_says_nothing_of_noise():
    rows = summarise([outcome("a", 0, 0.5), outcome("b", 0, 0.9)])
    assert [row.verdict for row in rows] == ["baseline", "one seed"]
    assert math.isnan(rows[1].deviation["ap"])
    assert "One seed" in as_markdown(rows, 1, "title", "command")


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_strategy_is_within_noise_of_itself(aps):
    outcomes = [outcome(name, seed, ap) for name in "ab" for seed, ap in enumerate(aps)]
    assert summarise(outcomes)[1].verdict == "within noise"


def test_the_files_tell_the_same(tmp_path):
    outcomes = [
        outcome(n, s, 0.5 + 0.1 * s) for n in ("bootstrap", "focal:gamma=1") for s in (0, 1)
    ]
    write_comparison(outcomes, tmp_path, title="toys", command="bootstrap-det compare")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    text = (tmp_path / "comparison.md").read_text()
    assert "| focal:gamma=1 | 0.550 ± 0.071 | +0.000 |" in text
    rows = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert [row["strategy"] for row in rows] == ["bootstrap", "focal:gamma=1"]
    assert float(rows[0]["ap"]) == 0.55
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert len(content["outcomes"]) == 4
    assert content["strategies"][1]["verdict"] == "within noise"


def test_the_plot_shows_every_seed():
    outcomes = [outcome(n, s, 0.5 + 0.1 * s) for n in ("bootstrap", "random") for s in range(3)]
    axes = plot(outcomes, "title").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bootstrap", "random"]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    assert [len(x) for x in dots] == [3, 3]


def test_trials_differ_by_strategy_and_seed_alone(job):
    trial = JobTrial(job)
    first = run_trial(trial, "bootstrap", 0)
    again = run_trial(trial, "bootstrap", 0)
    assert replace(first, seconds=0) == replace(again, seconds=0)
    other = run_trial(trial, "random", 0)
    assert (other.n_windows, other.fingerprint) != (first.n_windows, first.fingerprint)
    assert other.n_windows == 0  # nothing was scanned for negatives
    assert run_trial(trial, "bootstrap", 1).fingerprint != first.fingerprint


def test_a_comparison_goes_on_where_it_was_cut_off(job, tmp_path):
    said = []
    arguments = (JobTrial(job), ["bootstrap", "random"], [0, 1], tmp_path)
    whole = compare_strategies(*arguments)
    assert [(o.strategy, o.seed) for o in whole] == [
        ("bootstrap", 0), ("bootstrap", 1), ("random", 0), ("random", 1),
    ]  # fmt: skip
    outcome_path(tmp_path, "random", 0).unlink()
    again = compare_strategies(*arguments, on_outcome=lambda o, was: said.append((o.seed, was)))
    assert [replace(o, seconds=0) for o in again] == [replace(o, seconds=0) for o in whole]
    assert sorted(said) == [(0, False), (0, True), (1, True), (1, True)]


def test_outcomes_of_other_data_are_refused(job, tmp_path):
    compare_strategies(JobTrial(job), ["random"], [0], tmp_path)
    params = replace(job.params, n_random_negatives=50)
    other = JobTrial(replace(job, params=params))
    with pytest.raises(DataError, match=r"random_seed0\.json: was measured with other data or"):
        compare_strategies(other, ["random"], [0], tmp_path)
    outcome_path(tmp_path, "random", 0).write_text("{")
    with pytest.raises(DataError, match=r"is no outcome of a trial .*Remove it"):
        compare_strategies(other, ["random"], [0], tmp_path)


@pytest.mark.parametrize(
    ("strategies", "seeds", "message"),
    [
        (["bootstrap", "focl"], [0], r"Got 'focl' instead\. Did you mean 'focal'"),
        (["random", "random"], [0], r"The strategies of a comparison .* Got random twice"),
        (["random"], [], r"The seeds of a comparison must be there, each once\. Got none"),
    ],
)
def test_nothing_is_trained_before_all_is_checked(job, tmp_path, strategies, seeds, message):
    with pytest.raises(ParameterError, match=message):
        compare_strategies(JobTrial(job), strategies, seeds, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_test_pictures_there_is_nothing_to_compare(job):
    with pytest.raises(ParameterError, match="A comparison needs test pictures"):
        run_trial(JobTrial(replace(job, test=None)), "random", 0)


def test_commas_separate_strategies_and_parameters():
    assert split_specs("a,b:x=1,y=2,c") == ["a", "b:x=1,y=2", "c"]
    assert split_specs("hard-negative:ratio=5, augment:n_copies=2,blur=1+focal") == [
        "hard-negative:ratio=5", "augment:n_copies=2,blur=1+focal",
    ]  # fmt: skip
    assert split_specs("") == []


def run(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_the_command_lists_and_refuses():
    listed = run("--list")
    assert listed.exit_code == 0
    assert "hard-negative\n    The negatives of the highest scores" in listed.output
    assert max(map(len, listed.output.splitlines())) <= 100
    wrong = run("--strategies", "focl", "--out", "nowhere")
    assert wrong.exit_code == 2
    assert "Did you mean 'focal'?" in wrong.output
    neither = run("--out", "nowhere")
    assert neither.exit_code == 2
    assert "Give --strategies or --all, one of them" in neither.output


def test_the_command_compares(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ("--rounds", 1, "--n-random-negatives", 500, "--n-copies", 0, "--features", "hog")
    small += ("--n-images-per-round", 10, "--scales-per-octave", 3, "--min-object-size", 28)
    result = run("--strategies", "bootstrap,random", "--jobs", 1, "--C", 0.01, "--json", *small)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "compare-faces"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "trials"])
    content = json.loads(result.stdout)
    by_name = {row["strategy"]: row["mean"]["ap"] for row in content["strategies"]}
    assert by_name["bootstrap"] > by_name["random"]
    assert np.isfinite(list(by_name.values())).all()
