"""Downloads: fetched once, sums checked, nothing kept of a wrong file."""

import functools
import http.server
import sys
import threading

import pytest

from hpobench_llm.artefacts import sha256_of_text
from hpobench_llm.errors import DataError, IntegrityError, MissingDependencyError
from hpobench_llm.tables.importers.download import download

CONTENT = "a,b\n1,2\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "hpobench-llm"


@pytest.fixture
def address(tmp_path):
    """Serve a folder on this machine; yield its address."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file.csv").write_text(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/file.csv"
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once(cache, address, tmp_path):
    path = download(address, sha256_of_text(CONTENT))
    assert path.read_text() == CONTENT
    (tmp_path / "www" / "file.csv").unlink()
    assert download(address, sha256_of_text(CONTENT)) == path


def test_another_sum_is_refused_and_nothing_kept(cache, address):
    with pytest.raises(IntegrityError) as caught:
        download(address, "0" * 64)
    assert sha256_of_text(CONTENT) in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_what_cannot_be_fetched(cache, address):
    with pytest.raises(DataError, match=r"cannot be fetched.*--from FOLDER"):
        download(address + ".missing", "0" * 64)
    with pytest.raises(DataError, match="cannot be fetched"):
        download("http://127.0.0.1:1/file.csv", "0" * 64)


def test_without_pooch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[import\]"):
        download("http://127.0.0.1:1/file.csv", "0" * 64)
