"""Shell completion: the script, and what it offers."""

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from bootstrap_det.cli import main
from bootstrap_det.cli_completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_the_shells_own(shell):
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("there is no bash")
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0, result.output
    assert "_BOOTSTRAP_DET_COMPLETE" in result.output
    assert "bootstrap-det" in result.output


def test_verbs_and_options_are_offered():
    offers = ShellComplete(main, {}, "bootstrap-det", "_X")
    assert "train" in [item.value for item in offers.get_completions([], "tr")]
    assert "--min-object-size" in [item.value for item in offers.get_completions(["train"], "--mi")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_a_verb():
    """The way that the script in bash asks for offers."""
    env = {**os.environ, "_BOOTSTRAP_DET_COMPLETE": "bash_complete", "COMP_WORDS":
           "bootstrap-det ev", "COMP_CWORD": "1"}  # fmt: skip
    program = "from bootstrap_det.cli import main; main(prog_name='bootstrap-det')"
    result = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert "evaluate" in result.stdout


def test_other_shells_are_refused():
    result = CliRunner().invoke(main, ["completion", "cmd"])
    assert result.exit_code == 2
    assert "'cmd' is not one of 'bash', 'zsh', 'fish'" in result.output
