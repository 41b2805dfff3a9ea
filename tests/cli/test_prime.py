"""The kernels' cache: dropped when any kernel source changed, kept otherwise."""

import os

import pytest

from server import prime


@pytest.fixture
def package(tmp_path):
    for folder in prime.FOLDERS:
        (tmp_path / folder / "__pycache__").mkdir(parents=True)
        (tmp_path / folder / f"{folder}_kernels.py").write_text("x = 1\n")
        (tmp_path / folder / "__pycache__" / "k.nbi").write_text("index")
        (tmp_path / folder / "__pycache__" / "k.1.nbc").write_text("code")
    return tmp_path


def cached(package):
    return sorted(p.name for p in package.rglob("*.nb[ic]"))


def test_a_change_in_any_kernel_source_drops_all_cached_code(package):
    assert prime.drop_stale(package) and cached(package) == []
    (package / "sim/__pycache__/k.nbi").write_text("index")
    assert not prime.drop_stale(package) and cached(package) == ["k.nbi"]
    (package / "twin/twin_kernels.py").write_text("x = 2\n")
    assert prime.drop_stale(package) and cached(package) == []


def test_a_source_that_was_only_touched_counts_as_changed_as_numba_has_it(package):
    prime.drop_stale(package)
    os.utime(package / "sim/sim_kernels.py", (1, 1))
    assert prime.drop_stale(package)


def test_priming_is_remembered_until_a_source_changes(package):
    lines = []
    assert not prime.is_primed(package)
    prime.prime_all(lines.append, ("server.sim.rotation",), package)
    assert prime.is_primed(package) and len(lines) == 1 and lines[0].startswith("kernels 1/1: server.sim.rotation")
    (package / "world/world_kernels.py").write_text("x = 2\n")
    assert not prime.is_primed(package)


def test_a_package_that_cannot_be_written_is_primed_all_the_same(package):
    (package / "__pycache__").write_text("in the way")
    prime.prime_all(lambda _: None, (), package)
    assert not prime.is_primed(package)
