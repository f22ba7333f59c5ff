"""What the READMEs and tutorials show, runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]
TUTORIALS = [ROOT / "docs" / "matern.md"]
PAGES = [*READMES, *sorted(ROOT.glob("docs/*.md"))]


def name(path):
    return path.parent.name if path.name == "README.md" else path.stem


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [*READMES, *TUTORIALS], ids=name)
def test_python_on_the_page_runs_from_top_to_bottom(page, tmp_path):
    blocks = python_blocks(page.read_text(encoding="utf-8"))
    assert blocks, f"{page} shows no Python"
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_the_page_links_to_exist(page):
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_the_test_command_of_the_readme_is_what_ci_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python3 -m pip install uv && uv run nox" in readme
    assert ci.rstrip().endswith("\nuv run nox")
