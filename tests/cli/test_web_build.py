"""When the web client is built again, and what is said when it cannot be."""

from pathlib import Path

import pytest

import hatch_build
from hatch_build import WEB, WebBuildError, build_client, is_fresh, source_files, source_hash

ROOT = Path(__file__).parents[2]


@pytest.fixture
def web(tmp_path):
    folder = tmp_path / WEB
    for name in ("src/main.ts", "index.html", "package.json", "node_modules/x/y.js", "dist/index.html", ".hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "dist" / hatch_build.STAMP).write_text(source_hash(folder))
    return folder


def test_only_sources_count(web):
    assert [p.relative_to(web).as_posix() for p in source_files(web)] == ["index.html", "package.json", "src/main.ts"]


@pytest.mark.parametrize("change", ["src/main.ts", "src/new.ts", "package.json"])
def test_any_change_of_a_source_makes_the_client_stale(web, change):
    assert is_fresh(web)
    (web / change).write_text("changed")
    assert not is_fresh(web)


def test_a_renamed_or_missing_file_makes_it_stale_and_a_touched_one_does_not(web):
    (web / "src/main.ts").touch()
    assert is_fresh(web)
    (web / "src/main.ts").rename(web / "src/other.ts")
    assert not is_fresh(web)


def test_a_client_without_an_index_is_stale(web):
    (web / "dist/index.html").unlink()
    assert not is_fresh(web)


def test_what_cannot_be_built_is_one_clear_line(web, monkeypatch):
    monkeypatch.delenv("ASCLEPION_SKIP_WEB", raising=False)
    (web / "src/main.ts").write_text("changed")
    with pytest.raises(WebBuildError, match=r"package-lock.json is missing"):
        build_client(web.parents[1])
    (web / "package.json").unlink()
    with pytest.raises(WebBuildError, match=r"no package.json"):
        build_client(web.parents[1])


def test_the_build_can_be_left_out(web, monkeypatch):
    (web / "src/main.ts").write_text("changed")
    monkeypatch.setenv("ASCLEPION_SKIP_WEB", "1")
    build_client(web.parents[1])
    assert not is_fresh(web)


def test_a_failing_npm_says_its_last_lines(web):
    (web / "package.json").write_text('{"scripts":{"build":"echo the reason && exit 3"}}')
    with pytest.raises(WebBuildError, match=r"npm run build failed with status 3\n(.|\n)*the reason"):
        hatch_build.run_npm(web, "run", "build")
