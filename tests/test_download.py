"""Downloads from a server on this machine that cuts, forgets, changes and refuses."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from click.testing import CliRunner

from bootstrap_det import cli_download, download_dataset, load_dataset
from bootstrap_det.cli import main
from bootstrap_det.data import named
from bootstrap_det.data.download import download
from bootstrap_det.data.fetching import Download, fetch
from bootstrap_det.data.unpacking import unpack
from bootstrap_det.exceptions import DataError, ParameterError

CONTENT = np.random.default_rng(3).bytes(300_000)  # does not compress


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        asked = self.headers.get("Range")
        if site.errors:
            site.log.append((asked, 0))
            return self.send_error(site.errors.pop(0))
        content = site.files.get(self.path)
        if content is None:
            site.log.append((asked, 0))
            return self.send_error(404)
        same = self.headers.get("If-Range") in (None, site.etag)
        start = 0
        if asked and site.has_ranges and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(content):
                site.log.append((asked, 0))
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        if site.has_length:
            self.send_header("Content-Length", str(len(body)))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        sent = body[: site.cuts.pop(0)] if site.cuts else body
        site.log.append((asked, len(sent)))
        self.wfile.write(sent)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Site:
    """What the server has, how it misbehaves, and what it was asked: (range, bytes sent)."""

    def __init__(self, url):
        self.url, self.files, self.etag = url, {"/set.bin": CONTENT}, '"one"'
        self.has_ranges = self.has_length = True
        self.errors, self.cuts, self.log = [], [], []

    def entry(self, name="set.bin", **given):
        """Return what a card would say of a file."""
        content = self.files[f"/{name}"]
        values = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return Download(f"{self.url}/{name}", **{**values, **given})


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.site = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.site
        server.shutdown()
        thread.join()


def zipped(files, **modes):
    """Return a zip of names and texts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = modes.get(name, 0o100644) << 16
            archive.writestr(member, text)
    return stream.getvalue()


def tarred(*members, mode="w:gz"):
    """Return a tar of names and kinds; a file holds its own name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc"
            member.size = len(name) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(name.encode()))
    return stream.getvalue()


def card(*entries, **given):
    """Return a card of a test set that expects a list and a folder of pictures."""
    values = {
        "name": "toy", "title": "toy", "task": "toy", "source": "the makers", "licence": "free",
        "box_convention": "tight", "split": "test only", "citation": "A. Maker, 2001",
        "use": ("test",), "needs_data_root": True, "files": ("toy/list.txt", "toy/images"),
    }  # fmt: skip
    return named.Card(**{**values, "download": entries, **given})


@pytest.fixture
def toy(site):
    """A card of two archives that fill one folder."""
    site.files["/images.zip"] = zipped({"toy/images/a.pgm": "a" * 9999, "toy/images/b.pgm": "b"})
    site.files["/lists.tgz"] = tarred(("list.txt", tarfile.REGTYPE))
    return card(
        site.entry("images.zip", unpack_to=".", holds=("toy/images/b.pgm",)),
        site.entry("lists.tgz", unpack_to="toy", holds=("toy/list.txt",)),
    )


def tree(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_fresh_download_fills_the_layout(site, toy, tmp_path):
    seen = []
    result = download(toy, tmp_path / "new", progress=lambda *each: seen.append(each))
    assert result.fetched == ("images.zip", "lists.tgz")
    assert result.present == ()
    assert tree(tmp_path / "new") == ["toy/images/a.pgm", "toy/images/b.pgm", "toy/list.txt"]
    assert not (tmp_path / "new/.downloads").exists()
    size = len(site.files["/images.zip"])
    assert seen[0] == ("images.zip", size, size)
    assert ("unpacking images.zip", 10_000, 0) in seen


def test_download_of_the_card_of_gtsrb_can_be_loaded(site, tmp_path):
    heading = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    picture, row = b"P6 9 9 255\n" + bytes(243), "00000.ppm;9;9;1;1;7;7;33\n"
    train, test = "GTSRB/Final_Training/Images/00033", "GTSRB/Final_Test/Images"
    contents = (
        {f"{train}/GT-00033.csv": heading + row, f"{train}/00000.ppm": picture},
        {f"{test}/00000.ppm": picture},
        {"GT-final_test.csv": heading + row},
    )
    about, entries = named.card("gtsrb"), []
    for entry, content in zip(about.download, contents, strict=True):
        site.files[f"/{entry.file_name}"] = packed = zipped(content)
        md5, url = hashlib.md5(packed).hexdigest(), f"{site.url}/{entry.file_name}"
        held = tuple(f"{entry.unpack_to}/{name}" for name in content)
        entries.append(replace(entry, url=url, md5=md5, size=len(packed), holds=held))
    download(replace(about, download=tuple(entries)), tmp_path)
    splits = load_dataset("gtsrb", data_root=tmp_path)
    assert splits.train.n_objects == splits.test.n_objects == 1


def test_what_is_there_is_not_fetched_again(site, toy, tmp_path):
    download(toy, tmp_path)
    site.log.clear()
    assert download(toy, tmp_path).present == ("images.zip", "lists.tgz")
    assert site.log == []
    (tmp_path / "toy/list.txt").unlink()
    assert download(toy, tmp_path).fetched == ("lists.tgz",)


def test_file_without_unpacking_is_kept_and_checked(site, tmp_path):
    about = card(site.entry(), files=("set.bin",))
    assert download(about, tmp_path).fetched == ("set.bin",)
    assert (tmp_path / "set.bin").read_bytes() == CONTENT
    assert download(about, tmp_path).present == ("set.bin",)
    (tmp_path / "set.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"not the file of the card: it has 4 bytes.*Remove or ren"):
        download(about, tmp_path)
    assert (tmp_path / "set.bin").read_bytes() == b"mine"


@pytest.mark.parametrize("etag", ['"one"', "", 'W/"weak"'])
def test_cut_connection_is_gone_on_with(site, tmp_path, etag):
    site.cuts, site.etag = [100_000, 50_000], etag
    fetch(site.entry(), tmp_path / "set.bin", pauses=(0, 0))
    assert site.log == [
        (None, 100_000), ("bytes=100000-", 50_000), ("bytes=150000-", 150_000),
    ]  # fmt: skip
    assert (tmp_path / "set.bin").read_bytes() == CONTENT
    assert tree(tmp_path) == ["set.bin"]


def test_second_call_fetches_only_the_rest(site, tmp_path):
    site.cuts = [120_000]
    said = r"the connection ended after 120,000 of 300,000 bytes\). 120,000 bytes are kept; run"
    with pytest.raises(DataError, match=said):
        fetch(site.entry(), tmp_path / "set.bin", pauses=())
    assert not (tmp_path / "set.bin").exists()
    fetch(site.entry(), tmp_path / "set.bin", pauses=())
    assert site.log[1:] == [("bytes=120000-", 180_000)]
    assert (tmp_path / "set.bin").read_bytes() == CONTENT


def test_changed_file_is_not_glued_to_the_old_half(site, tmp_path):
    site.cuts = [120_000]
    with pytest.raises(DataError, match="120,000 bytes are kept"):
        fetch(site.entry(), tmp_path / "set.bin", pauses=())
    site.files["/set.bin"], site.etag = CONTENT[::-1], '"two"'
    fetch(site.entry(), tmp_path / "set.bin", pauses=())
    assert site.log[1:] == [("bytes=120000-", 300_000)]
    assert (tmp_path / "set.bin").read_bytes() == CONTENT[::-1]


def test_server_without_ranges_starts_again(site, tmp_path):
    site.cuts, site.has_ranges = [120_000], False
    fetch(site.entry(), tmp_path / "set.bin", pauses=(0,))
    assert site.log == [(None, 120_000), ("bytes=120000-", 300_000)]
    assert (tmp_path / "set.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [300_000, 300_001])
def test_complete_part_of_unknown_size(site, tmp_path, length):
    site.has_length = False
    entry = site.entry(size=0)
    with pytest.raises(KeyboardInterrupt):  # stopped before it knew that this was all
        fetch(entry, tmp_path / "set.bin", progress=stop_at(300_000), pauses=())
    part = tmp_path / "set.bin.part"
    part.write_bytes(CONTENT.ljust(length))
    fetch(entry, tmp_path / "set.bin", pauses=(0,))
    again = [] if length == 300_000 else [(None, 300_000)]
    assert site.log[1:] == [(f"bytes={length}-", 0), *again]
    assert (tmp_path / "set.bin").read_bytes() == CONTENT


def stop_at(n_bytes, name=""):
    """Return a progress callback that interrupts as the user would."""

    def progress(what, n_done, n_total):
        if what.startswith(name) and n_done >= n_bytes:
            raise KeyboardInterrupt

    return progress


def test_part_of_another_address_is_not_used(site, tmp_path):
    site.files["/other.bin"] = CONTENT[::-1]
    site.cuts = [120_000]
    with pytest.raises(DataError, match="120,000 bytes are kept"):
        fetch(site.entry("other.bin"), tmp_path / "set.bin", pauses=())
    (tmp_path / "set.bin.part.json").write_text("damaged")
    fetch(site.entry(), tmp_path / "set.bin", pauses=())
    assert site.log[1:] == [(None, 300_000)]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_wrong_checksum(site, tmp_path, kind):
    got = hashlib.new(kind, CONTENT).hexdigest()
    expected = "0" * len(got)
    entry = site.entry(**{"sha256": "", kind: expected})
    said = rf"its {kind} is {got}, and {expected} is expected. It was removed; run the same command"
    with pytest.raises(DataError, match=said):
        fetch(entry, tmp_path / "set.bin", pauses=())
    assert tree(tmp_path) == []


def test_other_size_is_refused_before_it_is_fetched(site, tmp_path):
    said = r"has a file of 300,000 bytes, and 9 are expected. Get the file elsewhere, put it at"
    with pytest.raises(DataError, match=said):
        fetch(site.entry(size=9), tmp_path / "set.bin", pauses=())
    assert tree(tmp_path) == []
    site.has_length = False
    with pytest.raises(DataError, match=r"it has [\d,]+ bytes, and 9 are expected"):
        fetch(site.entry(size=9), tmp_path / "set.bin", pauses=())
    assert tree(tmp_path) == []


def test_errors_of_the_server(site, tmp_path):
    site.errors = [500, 503]
    fetch(site.entry(), tmp_path / "set.bin", pauses=(0, 0))
    site.errors = [500] * 3
    with pytest.raises(DataError, match=r"answered 500 .*\). 0 bytes are kept; run the same comm"):
        fetch(site.entry(), tmp_path / "set.bin", pauses=(0, 0))
    assert site.errors == []
    site.log.clear()
    gone = replace(site.entry(), url=f"{site.url}/gone.zip")
    with pytest.raises(DataError, match=r"gone.zip: the server answered 404 .* put it at .*and"):
        fetch(gone, tmp_path / "gone.zip")
    assert len(site.log) == 1


def test_no_server(tmp_path):
    entry = Download("http://127.0.0.1:1/set.zip", sha256="0" * 64)
    with pytest.raises(DataError, match=r"set.zip: cannot be downloaded \(.*refused\)"):
        fetch(entry, tmp_path / "set.zip", pauses=(0,))


def test_file_put_there_by_hand_is_checked_and_unpacked(site, toy, tmp_path):
    (tmp_path / ".downloads").mkdir()
    for entry in toy.download:
        content = site.files.pop(f"/{entry.file_name}")
        (tmp_path / ".downloads" / entry.file_name).write_bytes(content)
    download(toy, tmp_path)
    assert site.log == []
    assert len(tree(tmp_path)) == 3


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:\\evil", "..\\evil"])
@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_names_that_lead_out_are_refused(tmp_path, name, pack):
    archive = tmp_path / "in/set.archive"
    archive.parent.mkdir()
    if pack == "zip":
        archive.write_bytes(zipped({"fine": "1", name: "2"}))
    else:
        archive.write_bytes(tarred(("fine", tarfile.REGTYPE), (name, tarfile.REGTYPE)))
    with pytest.raises(DataError, match=r"set.archive: holds a name that leads out .*nothing"):
        unpack(archive, tmp_path / "in/out")
    assert tree(tmp_path) == ["in/set.archive"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [(tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "link or"), (tarfile.FIFOTYPE, "link or device")],
)
def test_links_and_devices_are_refused(tmp_path, kind, said):
    archive = tmp_path / "set.tar"
    archive.write_bytes(tarred(("fine", tarfile.REGTYPE), ("evil", kind), mode="w"))
    with pytest.raises(DataError, match=rf"holds a {said}.*'evil'.*unpack it by hand if you trust"):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(zipped({"evil": "/etc"}, evil=0o120777))
    with pytest.raises(DataError, match="holds a link, 'evil'"):
        unpack(archive, tmp_path / "out")
    assert tree(tmp_path) == ["set.tar"]


def test_bombs_are_refused(tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(zipped({"zeros": bytes(10_000_000)}))
    with pytest.raises(DataError, match=r"holds more than [\d,]+ bytes unpacked"):
        unpack(archive, tmp_path / "out")
    assert tree(tmp_path) == ["set.zip"]
    unpack(archive, tmp_path / "out", max_bytes=10_000_000)  # a card may allow it


@pytest.mark.parametrize("pack", ["cut zip", "cut tar", "neither"])
def test_damaged_archive(tmp_path, pack):
    text = CONTENT.hex()
    archive = tmp_path / "set.zip"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("a")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    packed = bytearray(zipped({"a": text}))
    packed[1000:1100] = bytes(100)
    contents = {"cut zip": packed, "cut tar": stream.getvalue()[:-9000], "neither": b"<html>"}
    archive.write_bytes(contents[pack])
    with pytest.raises(DataError, match=r"set.zip: cannot be unpacked \(.*\). Remove it, and run"):
        unpack(archive, tmp_path / "out")
    assert tree(tmp_path) == ["set.zip"]


def test_interrupted_unpacking_leaves_nothing_and_fetches_nothing_again(site, toy, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        download(toy, tmp_path, progress=stop_at(1, "unpacking"))
    assert not (tmp_path / "toy").exists()
    site.log.clear()
    assert download(toy, tmp_path).fetched == ("images.zip", "lists.tgz")
    assert len(site.log) == 1
    assert len(tree(tmp_path)) == 3


KILLED = """
import os, signal, sys
from bootstrap_det.data.download import download
from bootstrap_det.data.fetching import Download
from bootstrap_det.data.named import Card

def progress(what, n_done, n_total):
    if what.startswith(sys.argv[5]):
        os.kill(os.getpid(), signal.SIGKILL)

entry = Download(sys.argv[2], sha256=sys.argv[3], unpack_to=".", holds=(sys.argv[4],))
about = Card(*["toy"] * 8, use=("test",), needs_data_root=True, files=(), download=(entry,))
download(about, sys.argv[1], progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("phase", ["images.zip", "unpacking"])
def test_killed_process_is_gone_on_with(site, toy, tmp_path, phase):
    entry = toy.download[0]
    arguments = [tmp_path, entry.url, entry.sha256, entry.holds[0], phase]
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    assert subprocess.run(command, timeout=120, check=False).returncode < 0
    assert not (tmp_path / "toy").exists()
    assert len(tree(tmp_path)) > 0
    download(toy, tmp_path)
    assert tree(tmp_path) == ["toy/images/a.pgm", "toy/images/b.pgm", "toy/list.txt"]


def test_half_moved_content_is_moved_to_the_end(site, toy, tmp_path):
    # As a process leaves it that was killed while it moved what it had unpacked.
    done = tmp_path / ".downloads/images.zip.unpacked/toy/images"
    done.mkdir(parents=True)
    (done / "b.pgm").write_text("b")
    (tmp_path / "toy/images").mkdir(parents=True)
    (tmp_path / "toy/images/a.pgm").write_text("a")
    assert download(toy, tmp_path).fetched == ("images.zip", "lists.tgz")
    assert [asked for asked, _ in site.log] == [None]  # of the list alone
    assert tree(tmp_path) == ["toy/images/a.pgm", "toy/images/b.pgm", "toy/list.txt"]


def test_archives_that_lack_what_the_card_expects(toy, tmp_path):
    about = replace(toy, files=("toy/list.txt", "toy/labels"))
    with pytest.raises(DataError, match=r"lacks toy/labels after the download of 'toy', so its"):
        download(about, tmp_path)


def test_folder_that_cannot_be_written(site, toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file: cannot be written \(.*\). Check the folder"):
        download(toy, tmp_path / "file")
    (tmp_path / "toy").write_text("a file where the pictures' folder belongs")
    with pytest.raises(DataError, match=r"cannot be written \(.*\). Check the folder"):
        download(toy, tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "ftp://host/set.zip"}, "a url of http or https"),
        ({"url": "file:///etc/passwd"}, "a url of http or https"),
        ({"url": "http://host/"}, "a url that ends in a file name"),
        ({"url": "http://host/..%2Fset.zip"}, "a url that ends in a file name"),
        ({"sha256": ""}, "one checksum"),
        ({"sha256": "abc"}, "one checksum"),
        ({"md5": "0" * 32}, "one checksum"),
        ({"unpack_to": "../other", "holds": ("a",)}, "paths inside the data root"),
        ({"unpack_to": ".", "holds": ("/etc",)}, "paths inside the data root"),
        ({"unpack_to": "."}, "what it holds"),
    ],
)
def test_download_of_a_wrong_card(given, said):
    values = {"url": "http://host/set.zip", "sha256": "0" * 64, **given}
    with pytest.raises(ParameterError, match=f"A download needs {said}"):
        Download(**values)


def test_redirection_to_another_protocol_is_refused(site, tmp_path, monkeypatch):
    def redirect(self):
        self.send_response(302)
        self.send_header("Location", self.server.site.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    monkeypatch.setattr(Handler, "do_GET", redirect)
    entry = site.entry()
    for target, said in (("file:///etc/passwd", "answered 302"), ("ftp://127.0.0.1/a", "ftp")):
        site.target = target
        with pytest.raises(DataError, match=said):
            fetch(entry, tmp_path / "set.bin", pauses=())


def test_set_to_be_fetched_by_hand(tmp_path):
    said = r"'fddb' is to be fetched by hand, and put below .* as FDDB-folds and originalPics. It"
    with pytest.raises(DataError, match=rf"{said} comes from: Univ.*Licence: none stated"):
        download_dataset("fddb", tmp_path)
    for name in ("FDDB-folds", "originalPics"):
        (tmp_path / name).mkdir()
    assert download_dataset("fddb", tmp_path).fetched == ()
    with pytest.raises(ParameterError, match="must be one of"):
        download_dataset("imagenet", tmp_path)


def test_missing_files_name_the_command(tmp_path):
    command = f"bootstrap-det dataset download gtsrb --data-root {tmp_path}"
    with pytest.raises(DataError, match=f"expected there as GTSRB/.*Fetch it with: {command}"):
        named.load("gtsrb", data_root=tmp_path)
    with pytest.raises(DataError, match=r"needs --data-root.*download gtsrb --data-root FOLDER"):
        named.load("gtsrb")
    with pytest.raises(DataError, match=r"Licence: none stated; for research.$"):
        named.load("fddb", data_root=tmp_path)


@pytest.mark.parametrize("name", named.available())
def test_cards_list_downloads_that_fill_what_they_expect(name):
    about = named.card(name)
    for entry in about.download:
        assert entry.size > 0
    if about.download:
        held = [held for entry in about.download for held in entry.holds]
        for file in about.files if not about.original else about.original:
            assert any(path.startswith(file) for path in held)


def test_command_says_the_licence_first(site, toy, tmp_path, capsys):
    cli_download.run(toy, tmp_path)
    out, err = capsys.readouterr()
    assert err == "licence: free\ncite: A. Maker, 2001\n"
    assert out == (
        "toy: fetched images.zip, lists.tgz\nnext: bootstrap-det evaluate --model MODEL "
        f"--test-dataset toy --data-root {tmp_path}\n"
    )
    shutil.rmtree(tmp_path / "toy/images")
    cli_download.run(toy, tmp_path, as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert (report["fetched"], report["present"]) == (["images.zip"], ["lists.tgz"])
    assert (report["name"], report["licence"]) == ("toy", "free")
    cli_download.run(toy, tmp_path)
    assert f"toy: is there, below {tmp_path}\n" in capsys.readouterr().out


def test_command_on_named_sets(tmp_path):
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ["dataset", "download", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result

    there = invoke("faces", "--data-root", tmp_path)
    assert "comes with the packages" in there.stdout
    assert "next: bootstrap-det train --dataset faces\n" in there.stdout
    by_hand = invoke("mit-cmu", "--data-root", tmp_path, code=1)
    assert by_hand.stderr.startswith("licence: provided by CMU")
    assert "'mit-cmu' is to be fetched by hand" in by_hand.stderr
    assert "must be one of" in invoke("imagenet", "--data-root", tmp_path, code=2).stderr
    for entry in named.card("gtsrb").download:
        for name in entry.holds:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    ready = invoke("gtsrb", "--data-root", tmp_path)
    assert f"next: bootstrap-det train --dataset gtsrb --data-root {tmp_path}" in ready.stdout
    assert "bootstrap-det dataset download" in invoke("--help").stdout
