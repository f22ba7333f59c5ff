"""Commands that `nox -s docs` runs at the same time."""

import sys

import side_by_side


def python(code):
    return [sys.executable, "-c", code]


def test_one_that_fails_is_enough_and_the_others_end(tmp_path):
    done = tmp_path / "done"
    fails, ends = python("raise SystemExit(3)"), python(f"open({str(done)!r}, 'w').close()")
    assert side_by_side.main([*fails, "//", *ends]) == 1
    assert done.exists()
    assert side_by_side.main([*ends, "//", *ends]) == 0
