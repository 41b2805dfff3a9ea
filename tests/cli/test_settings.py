"""Settings from flags, environment and file: kinds, precedence, and names nobody knows."""

import tomllib
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import settings
from server.__main__ import main
from server.config import Config, ConfigError, Limits
from server.settings import SETTINGS, combine, from_environment, read_file, to_environment, to_toml

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def test_every_field_is_a_setting_with_a_text_a_flag_and_a_variable():
    names = {one.name for one in fields(Config)} - {"limits"} | {f"limits.{one.name}" for one in fields(Limits)}
    assert set(SETTINGS) == names
    assert all(one.text and one.flag.startswith("--") for one in SETTINGS.values())
    assert len({one.variable for one in SETTINGS.values()}) == len(names)


def test_the_sample_is_accepted_and_is_the_defaults(tmp_path, capsys):
    assert main(["config", "sample"]) == 0
    file = tmp_path / "asclepion.toml"
    file.write_text(capsys.readouterr().out)
    assert main(["config", "check", str(file)]) == 0
    assert combine(("file", read_file(file)))[0] == Config()


@given(
    TEXTS.filter(bool), st.lists(TEXTS, max_size=3), st.floats(0.2, 3000), st.integers(-(2**60), 2**60), st.booleans()
)
def test_any_config_survives_toml(tmp_path_factory, text, texts, number, whole, truth):
    config = Config(data=text, allowed_origins=tuple(texts), checkpoint_every_s=number, seed=whole, demo=truth)
    file = tmp_path_factory.mktemp("toml") / "a.toml"
    file.write_bytes(to_toml(config).encode())
    assert combine(("file", read_file(file)))[0] == config


@given(TEXTS.filter(bool), st.floats(0.2, 3000), st.integers(-(2**60), 2**60), st.booleans(), st.integers(1, 4096))
def test_any_config_survives_the_environment(text, number, whole, truth, avatars):
    config = Config(data=text, checkpoint_every_s=number, seed=whole, demo=truth, allowed_origins=("http://a", "http://b"),
                    limits=Limits(avatars_max=avatars))  # fmt: skip
    assert combine(("environment", from_environment(to_environment(config))))[0] == config


def test_flags_win_over_environment_over_file_over_defaults(tmp_path, monkeypatch, capsys):
    file = tmp_path / "a.toml"
    file.write_text("tick_hz = 40\nedge_port = 4001\nadmin_port = 4002\n[limits]\nwaiting_max = 5\n")
    monkeypatch.setenv("ASCLEPION_EDGE_PORT", "5001")
    monkeypatch.setenv("ASCLEPION_ADMIN_PORT", "5002")
    assert main(["config", "show", "--config", str(file), "--admin-port", "6002", "--no-demo"]) == 0
    shown = capsys.readouterr().out
    assert f"tick_hz = 40  # file {file}" in shown
    assert "edge_port = 5001  # environment" in shown
    assert "admin_port = 6002  # flag" in shown and "demo = false  # flag" in shown
    assert "seed = 1  # default" in shown
    tree = tomllib.loads(shown)
    assert tree["limits"]["waiting_max"] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tick_hzz = 30", "tick_hzz is no setting; the nearest is tick_hz"),
        ("[limits]\navatar_max = 3", "limits.avatar_max is no setting; the nearest is limits.avatars_max"),
        ("limits = 3", "allowed is a table"),
        ("tick_hz = true", "tick_hz is True, allowed is a whole number"),
        ("tick_hz = 30.5", "tick_hz is 30.5, allowed is a whole number"),
        ('demo = "yes"', "demo is 'yes', allowed is true or false"),
        ("data = 3", "data is 3, allowed is a text in quotes"),
        ('allowed_origins = ["a", 3]', "allowed is a list of texts"),
        ("tick_hz = ", "is no TOML file"),
        ("tick_hz = 500", "tick_hz is 500, allowed is 20 to 90"),
        ("[limits]\nrooms_max = 0", "limits.rooms_max is 0, allowed is anything above 0"),
        ("checkpoint_every_s = nan", "checkpoint_every_s is nan, allowed is 0.1 to 3600"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_what_is_allowed(tmp_path, capsys, text, message):
    file = tmp_path / "a.toml"
    file.write_text(text)
    assert main(["config", "check", str(file)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.startswith("asclepion: ") and said.count("\n") == 1


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"x" * 70_000])
def test_an_unreadable_file_is_one_line(tmp_path, capsys, content):
    file = tmp_path / "a.toml"
    if content is not None:
        file.write_bytes(content)
    assert main(["config", "check", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ASCLEPION_TICKHZ", "30", "the variable ASCLEPION_TICKHZ is no setting; the nearest is ASCLEPION_TICK_HZ"),
        ("ASCLEPION_TICK_HZ", "fast", "ASCLEPION_TICK_HZ is 'fast', allowed is a whole number"),
        ("ASCLEPION_DEMO", "maybe", "ASCLEPION_DEMO is 'maybe', allowed is true or false"),
    ],
)
def test_a_wrong_variable_is_refused(monkeypatch, capsys, name, value, message):
    monkeypatch.setenv(name, value)
    assert main(["config", "check"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["serve", "--tick-hzz", "3"], "Did you mean --tick-hz"),
        (["serve", "--tick-hz", "fast"], "fast"),
        (["serve", "--tls-key", "x"], "tls_certificate and tls_key go together"),
        (["serf"], "serve"),
        (["serve", "now"], "now"),
        (["config", "check", "--log-level", "loud"], "allowed is debug, info, warning, error"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(capsys, argv, message):
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


@given(st.dictionaries(st.sampled_from([one.variable for one in SETTINGS.values()]), TEXTS, max_size=5))
def test_no_environment_raises_anything_but_a_config_error(environ):
    try:
        combine(("environment", from_environment(environ)))
    except ConfigError as error:
        assert str(error)
    except OverflowError:
        pytest.fail("a number too large got through")


def test_other_variables_of_ours_are_no_settings():
    assert from_environment({"ASCLEPION_CONFIG": "x", "ASCLEPION_SKIP_WEB": "1", "HOME": "/"}) == {}
    assert not settings.OTHERS & {one.variable for one in SETTINGS.values()}
