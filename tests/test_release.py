"""What `nox -s release_check` refuses, each shown on a release that would mislead."""

import floors
import public_api
import pytest
import release_check
from packaging.requirements import Requirement
from packaging.version import Version

CHANGELOG = """# Changelog

## 0.2.0 (2026-11-23)

- `old` and `Law.mode` are gone.

## 0.1.0 (2026-01-01)

First release.
"""


@pytest.mark.parametrize("package", sorted(p.name for p in public_api.PACKAGES.iterdir()))
def test_the_list_of_public_names_is_up_to_date(package):
    listed = (public_api.PACKAGES / package / "api.txt").read_text(encoding="utf-8").splitlines()
    assert public_api.listing(package.replace("-", "_")) == listed


def test_a_tag_unlike_the_version_is_refused():
    check = release_check.tag_unlike_version
    assert not list(check("normix-fit-v0.1.0", "normix-fit", "0.1.0"))
    assert list(check("normix-fit-v0.2.0", "normix-fit", "0.1.0"))
    assert list(check("normix-fit-0.1.0", "normix-fit", "0.1.0"))


def test_a_changelog_without_the_version_is_refused():
    check = release_check.changelog_without_version
    assert not list(check(CHANGELOG, "0.2.0", releasing=True))
    assert list(check(CHANGELOG, "0.2", releasing=False))
    assert list(check(CHANGELOG, "0.3.0", releasing=False))


def test_a_changelog_that_says_unreleased_is_refused_with_a_tag_only():
    check, open_ = release_check.changelog_without_version, "## 0.3.0 (unreleased)\n"
    assert not list(check(open_, "0.3.0", releasing=False))
    assert list(check(open_, "0.3.0", releasing=True))


def test_a_section_ends_at_the_next_version():
    assert "First release" not in release_check.section(CHANGELOG, "0.2.0")
    assert release_check.section(CHANGELOG, "0.1.0").endswith("First release.\n")


def test_a_bound_that_no_wheel_meets_is_refused():
    check, built = release_check.unmet_bounds, {"normix-bessel": "0.2.0"}
    assert not list(check(["normix-bessel<0.3,>=0.1", "jax>=99"], built))
    assert list(check(["normix-bessel<0.2,>=0.1"], built))


def test_a_public_name_that_disappears_in_silence_is_refused():
    before = ["class p.Law(a)", "p.Law.mean(self)", "p.Law.mode(self)", "p.old(x)", "p.f(x)"]
    told = release_check.section(CHANGELOG, "0.2.0")
    check = release_check.unannounced_removals
    assert not list(check(before, ["class p.Law(a, b)", "p.Law.mean(self)", "p.f(y)"], told))
    assert len(list(check(before, ["class p.Law(a)", "p.Law.mean(self)"], told))) == 1
    assert len(list(check(before, ["p.f(x)"], told))) == 2
    assert not list(check(before, ["p.f(x)"], "`Law` and `p.old` are gone"))


def test_a_name_without_a_package_is_refused(capsys):
    assert release_check.main(["normix-nothing-v0.1.0"]) == 1
    assert "no package 'normix-nothing'" in capsys.readouterr().out


def test_the_floor_is_the_oldest_version_that_the_bound_allows(tmp_path, monkeypatch):
    assert floors.floor_of(Requirement("normix-bessel<0.3,>=0.1.2")) == Version("0.1.2")
    tags = dict.fromkeys(map(Version, ("0.0.1", "0.0.2")), "tag")
    monkeypatch.setattr(floors, "released", lambda _: tags)
    wheel = tmp_path / "normix_bessel-0.1.0-py3-none-any.whl"
    wheel.touch()
    assert floors.wheel_of("normix-bessel", Version("0.0.3"), tmp_path, tmp_path) == wheel


def test_siblings_below_siblings_have_the_highest_of_their_floors(tmp_path, monkeypatch):
    needs = {
        "normix-mixtures": ["normix-expfam>=0.2", "normix-bessel>=0.1", "jax"],
        "normix-expfam": ["normix-bessel>=0.3", 'normix-fit>=9; extra == "fits"'],
        "normix-bessel": ["jax"],
    }
    own = {"dependencies": ["jax", "normix-expfam>=0.1,<0.3", "normix-mixtures>=0.1"]}
    monkeypatch.setattr(floors, "project", lambda _: own)
    monkeypatch.setattr(floors, "wheel_of", lambda name, floor, *_: tmp_path / name / str(floor))
    monkeypatch.setattr(floors, "metadata", lambda path: ("", "", needs[path.parent.name]))
    found = floors.oldest_siblings("normix-fit", tmp_path, tmp_path)
    assert {name: path.name for name, path in found.items()} == {
        "normix-expfam": "0.2",
        "normix-mixtures": "0.1",
        "normix-bessel": "0.3",
    }
