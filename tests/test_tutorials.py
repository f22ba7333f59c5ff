"""What the tutorials show, runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = [DOCS / "matern.md"]


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_python_in_the_tutorial_runs_from_top_to_bottom(tutorial, tmp_path):
    blocks = python_blocks(tutorial.read_text(encoding="utf-8"))
    assert blocks, f"{tutorial} shows no Python"
    script = tmp_path / "tutorial.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_files_that_the_tutorial_links_to_exist(tutorial):
    targets = re.findall(r"\]\(([^)#]+)", tutorial.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (tutorial.parent / t).exists()]
    assert not missing
