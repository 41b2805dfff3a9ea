"""Fixtures of the ledger's tests: logs, authors, the golden vectors, and the shared foreign ones."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ledger_story import Author, Logs, author

VECTORS = Path(__file__).parent.parent / "vectors" / "entry.json"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "ledger-vectors"


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as workers:
        yield workers


@pytest.fixture
def logs(tmp_path: Path, pool: ThreadPoolExecutor) -> Logs:
    return Logs(tmp_path / "ledger", pool)


@pytest.fixture
def ana() -> Author:
    return author(1)


@pytest.fixture
def bob() -> Author:
    return author(2)


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(VECTORS.read_text())
    return found


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared ledger vectors are not beside this checkout")
    return SHARED
