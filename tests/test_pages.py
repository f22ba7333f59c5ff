"""What pages show as Python, runs. Tutorials run when the site is built."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]
DOCS = ROOT / "docs"
PAGES = [*READMES, *(p for p in sorted(DOCS.rglob("*.md")) if DOCS / "_build" not in p.parents)]


def name(path):
    return path.relative_to(ROOT).as_posix()


def python_blocks(page):
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", READMES, ids=name)
def test_readmes_show_python(page):
    assert python_blocks(page)


@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=name)
def test_python_on_the_page_runs_from_top_to_bottom(page, tmp_path):
    blocks = python_blocks(page)
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_the_page_links_to_exist(page):
    prose = re.sub(r"(?ms)^```\{code-cell\}.*?^```", "", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)#]+)", prose)
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_the_test_command_of_the_readme_is_what_ci_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python3 -m pip install uv && uv run nox" in readme
    assert ci.rstrip().endswith("\nuv run nox")
