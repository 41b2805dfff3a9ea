"""The web client's own suites, so that `make test` runs them: types, then units against the golden vectors."""

import pytest

import hatch_build


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_clients_own_suite(script):
    assert hatch_build.main([script]) == 0
