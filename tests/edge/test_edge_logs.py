"""What the edge may write into its log."""

import json
import logging

import pytest

from server.edge import logs


@pytest.fixture(autouse=True)
def library_logs_as_they_were():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_are_json_with_a_level_and_a_time(capsys):
    log = logs.set_up("info")
    log.debug("quiet")
    log.info("linked", tick_hz=30)
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"], line["tick_hz"], line["part"]) == ("linked", "info", 30, "edge")
    assert line["timestamp"].endswith("Z")


def test_a_library_cannot_put_a_request_into_the_log(capsys):
    logs.set_up("info")
    try:
        raise ValueError("Authorization: Bearer secret-token")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request /r/ward?patient=Smith")
    said = capsys.readouterr()
    line = json.loads(said.out)
    assert (line["event"], line["name"], line["error"]) == ("library", "aiohttp.server", "ValueError")
    assert "secret" not in said.out + said.err and "Smith" not in said.out + said.err
