"""Videos and cameras: frames in, detections in order, lines and drawn videos out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
import weakref

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SIDE, draw_cross
from PIL import Image

import bootstrap_det.video as video_module
from bootstrap_det import detect_video
from bootstrap_det.boxes import overlap
from bootstrap_det.cli import main
from bootstrap_det.detections import Detections
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.inference import DetectionOptions, DetectionRun
from bootstrap_det.sources import Source, drawn_names, find_sources
from bootstrap_det.streaming import in_order
from bootstrap_det.video import Span, Video, container, is_video, quiet
from bootstrap_det.video_files import VideoFile

N_FRAMES = 16
RATE = 20.0


def scene(index, size=(80, 96)):
    """Return a grey picture of a cross that moves to the right, and the cross' box."""
    noise = np.random.default_rng(index).normal(0, 3, size)
    image = np.clip(120 + noise, 0, 255).astype(np.uint8)
    x, y = 4 + 4 * index, 24  # on the grid of the cells and of JPEG's blocks: the toy is weak
    draw_cross(image, x, y)
    return image, [x, y, x + SIDE, y + SIDE]


def write_video(path, n_frames=N_FRAMES, codec="MJPG", size=(80, 96)):
    """Write a video of the moving cross; return its path."""
    with quiet():
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), RATE, size[::-1]
        )
    if not writer.isOpened():
        pytest.skip(f"there is no encoder for {codec} here")
    for index in range(n_frames):
        writer.write(cv2.cvtColor(scene(index, size)[0], cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def frames_of(path):
    """Return all frames of a video as OpenCV decodes them, RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames


class FakeCapture:
    """A camera that gives the moving cross, then does what it is told to."""

    def __init__(self, n_frames=10**6, at_end=None):
        self.n_frames, self.at_end = n_frames, at_end
        self.n_grabbed, self.released = 0, False

    def isOpened(self):  # noqa: N802
        return True

    def get(self, what):
        return 0.0

    def grab(self):
        if self.n_grabbed == self.n_frames:
            if self.at_end:
                raise self.at_end
            return False
        self.n_grabbed += 1
        return True

    def retrieve(self):
        return True, cv2.cvtColor(scene(self.n_grabbed - 1 & 7)[0], cv2.COLOR_GRAY2BGR)

    def release(self):
        self.released = True


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.avi")


@pytest.fixture
def camera(monkeypatch):
    """Put a fake camera in the place of every capture; return a function that sets it."""

    def put(*args, **kwargs):
        fake = FakeCapture(*args, **kwargs)
        monkeypatch.setattr(video_module, "open_capture", lambda source: fake)
        return fake

    return put


@pytest.fixture(scope="module")
def model(toy, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "toy.bdet"
    toy.detector.save(path)
    return path


def invoke(*arguments, **more):
    return CliRunner().invoke(main, ["detect", *map(str, arguments)], **more)


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_frames_are_those_of_the_decoder(clip):
    with Video(clip) as video:
        frames = list(video.frames())
    expected = frames_of(clip)
    assert len(frames) == len(expected) == N_FRAMES == video.n_stated
    assert all(np.array_equal(f.pixels, e) for f, e in zip(frames, expected, strict=True))
    assert [f.number for f in frames] == list(range(N_FRAMES))
    assert [f.time_s for f in frames] == pytest.approx(np.arange(N_FRAMES) / RATE, abs=1e-3)
    assert video.rate == RATE
    assert video.note == ""


@pytest.mark.parametrize(
    ("span", "numbers"),
    [
        (Span(every=5), [0, 5, 10, 15]),
        (Span(every=100), [0]),
        (Span(start=0.5), list(range(10, 16))),
        (Span(start=0.5, every=4), [10, 14]),
        (Span(start=0.1, seconds=0.2), [2, 3, 4, 5]),
        (Span(max_frames=3, every=2), [0, 2, 4]),
        (Span(start=9), []),
    ],
)
def test_spans(clip, span, numbers):
    with Video(clip) as video:
        assert [frame.number for frame in video.frames(span)] == numbers
        assert span.n_expected(video.n_stated, video.rate) == len(numbers)


def test_spans_are_checked():
    for wrong in ({"every": 0}, {"start": -1}, {"seconds": float("nan")}, {"max_frames": 0}):
        with pytest.raises(ParameterError, match=f"'{next(iter(wrong))}' parameter of Span"):
            Span(**wrong)


def test_detections_follow_the_object(toy, clip):
    for found in detect_video(toy.detector, clip):
        assert overlap(found.detections.boxes[:1], [scene(found.frame)[1]])[0, 0] > 0.5


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_frames_are_detected_as_each_alone(toy, clip, n_jobs):
    results = list(detect_video(toy.detector, clip, n_jobs=n_jobs, every=2))
    assert [found.frame for found in results] == list(range(0, N_FRAMES, 2))
    for found, frame in zip(results, frames_of(clip)[::2], strict=True):
        alone = toy.detector.detect(frame)
        assert np.array_equal(found.detections.boxes, alone.boxes)
        assert np.array_equal(found.detections.scores, alone.scores)
        assert np.array_equal(found.pixels, frame)
        assert found.detections.image_id == found.frame
        assert found.seconds > 0


def test_tiles_of_frames(toy, clip):
    found = next(detect_video(toy.detector, clip, tile=(64, 80), tile_overlap=60))
    assert overlap(found.detections.boxes[:1], [scene(0)[1]])[0, 0] > 0.5


def test_smoothed_detections_follow_as_well(toy, clip):
    results = list(detect_video(toy.detector, clip, smooth=3))
    plain = list(detect_video(toy.detector, clip))
    assert len(results) == N_FRAMES
    for found, raw in zip(results, plain, strict=True):
        assert overlap(found.detections.boxes[:1], [scene(found.frame)[1]])[0, 0] > 0.5
        assert not found.frame or found.detections.boxes[0, 0] < raw.detections.boxes[0, 0]


def test_memory_holds_a_few_frames(toy, camera, monkeypatch):
    fake, frames = camera(60), []
    decode = fake.retrieve

    def retrieve():
        there, pixels = decode()
        frames.append(weakref.ref(pixels))
        return there, pixels

    monkeypatch.setattr(fake, "retrieve", retrieve)
    results = []
    for found in detect_video(toy.detector, 0, n_jobs=2, smooth=5):
        results.append(weakref.ref(found.pixels))
        assert sum(frame() is not None for frame in frames) <= 1
        assert sum(result() is not None for result in results) <= 2
        assert len(frames) <= len(results) + 3
    assert len(results) == 60


def test_items_are_taken_no_faster_than_results_are_used():
    taken = []
    results = in_order(lambda x: x, (taken.append(i) or i for i in range(50)), 2)
    for n_used, value in enumerate(results, start=1):
        time.sleep(0.001)
        assert value == n_used - 1
        assert len(taken) <= n_used + 3


def test_order_is_kept_whatever_the_threads_do():
    waits = np.random.default_rng(0).uniform(0, 0.01, 30)
    work = lambda i: (time.sleep(waits[i]), i)[1]  # noqa: E731
    assert list(in_order(work, range(30), 4)) == list(range(30))


def test_threads_end_with_the_generator():
    before = threading.active_count()
    results = in_order(lambda x: x, iter(range(1000)), 3)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_work_that_fails_fails_in_its_turn():
    results = in_order(lambda x: 1 // (x - 2), range(5), 2)
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_results_that_a_thread_of_their_own_drops_are_no_trouble():
    held, started, go, gone = [], *(threading.Event() for _ in range(3))

    def work(x):
        if x == 0:
            started.wait()  # so that 1 is on its way when 0 is there
        if x == 1:
            started.set()
            go.wait()
            held.clear()
            gone.set()
        return x

    held.append(in_order(work, range(50), 2))
    assert next(held[0]) == 0
    go.set()
    assert gone.wait(10)


def test_a_video_that_breaks_off_is_said(toy, tmp_path, clip):
    whole = clip.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    try:
        video = Video(cut)
    except DataError:
        pytest.skip("this decoder refuses videos without an index")
    with video:
        n_frames = len(list(video.frames()))
    assert 0 < n_frames < N_FRAMES
    assert f"breaks off after {n_frames} of the {N_FRAMES} frames" in video.note
    with pytest.warns(UserWarning, match="breaks off after"):
        list(detect_video(toy.detector, cut))


BAD = {
    "cut.mp4": (b"\0\0\0\x1cftypisom" + bytes(300), "no frame can be read"),
    "text.mp4": (b"#EXTM3U\n/etc/passwd\n", "is not a video. Give an MP4"),
    "empty.mp4": (b"", r"is empty \(0 bytes\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_unreadable_videos_are_one_sentence_or_skipped(model, tmp_path, name):
    content, said = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        Video(path)
    result = invoke(path, "--model", model, "--save-dir", tmp_path / "drawn")
    assert result.exit_code == 1
    assert [line[:6] for line in result.output.splitlines()] == ["Error:"]
    assert list((tmp_path / "drawn").iterdir()) == []
    Image.fromarray(scene(0)[0]).save(tmp_path / "good.png")
    skipping = invoke(path, tmp_path / "good.png", "--model", model, "--skip-bad", "--json")
    assert skipping.exit_code == 0
    found = json.loads(skipping.stdout)
    assert [each["file"] for each in found["skipped"]] == [str(path)]
    assert [each["id"] for each in found["images"]] == [2]


def test_a_video_without_frames(tmp_path):
    with pytest.raises(DataError, match="no frame can be read: it is empty"):
        Video(write_video(tmp_path / "none.avi", n_frames=0))


def test_missing_files_and_cameras(model, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        Video(tmp_path / "missing.mp4")
    with pytest.raises(DataError, match="camera 977: cannot be opened"):
        Video(977)
    with pytest.raises(ParameterError, match="'source' parameter of Video"):
        Video(-1)
    result = invoke("977", "--model", model)
    assert result.exit_code == 1
    assert result.output.startswith("Error: camera 977: cannot be opened")


def test_huge_frames_are_refused_before_decoding(camera, monkeypatch):
    fake = camera()
    monkeypatch.setattr(fake, "get", lambda what: 50_000.0)
    with pytest.raises(DataError, match="50000 x 50000 pixels exceed the limit"):
        Video(0)
    assert fake.released
    assert fake.n_grabbed == 0


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("a", b"RIFF\0\0\0\0AVI LIST", "avi"), ("a.avi", b"RIFF\0\0\0\0WEBPVP8", ""),
        ("a", b"\0\0\0\x20ftypisom", "mp4"), ("a", b"\0\0\0\x14ftypqt  ", "mp4"),
        ("a.mp4", b"\0\0\0\x20ftypavif", ""), ("a", b"\x1aE\xdf\xa3", "mkv"),
        ("a.jpg", b"\xff\xd8\xff\xe0", ""), ("a.mjpeg", b"\xff\xd8\xff\xe0", "mjpeg"),
        ("a", (b"G" + bytes(187)) * 3, "mpeg"), ("a.txt", b"Good morning", ""),
    ],
)  # fmt: skip
def test_videos_are_told_by_content(tmp_path, name, start, kind):
    path = tmp_path / name
    path.write_bytes(start)
    assert container(start, path.suffix) == kind
    assert is_video(path) == bool(kind or start[8:] == b"ftypavif" or name == "a.mp4")


def test_pictures_called_like_videos_are_pictures(model, tmp_path):
    path = tmp_path / "still.mp4"
    Image.fromarray(scene(0)[0]).save(path, "PNG")
    assert "in 1 picture," in invoke(path, "--model", model).stderr


def test_sources(tmp_path, monkeypatch, clip):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mixed"
    folder.mkdir()
    Image.fromarray(scene(0)[0]).save(folder / "b.png")
    (folder / "a.avi").write_bytes(clip.read_bytes())
    (folder / "notes.txt").write_text("nothing")
    found = find_sources(["mixed", "mixed/*.png", "2"])
    assert [(s.name, s.moves) for s in found] == [
        (os.path.join("mixed", "a.avi"), True), (os.path.join("mixed", "b.png"), False),
        ("camera 2", True),
    ]  # fmt: skip
    Image.fromarray(scene(0)[0]).save(tmp_path / "2", "PNG")
    assert not find_sources(["2"])[0].moves
    names = io.BytesIO(b"mixed/b.png\n\nmixed\n")
    assert len(find_sources(["-"], stdin=names, stdin_holds="names")) == 2
    with pytest.raises(DataError, match=r"no such file\. Give a file, a folder, a glob"):
        find_sources(["nothing"])
    with pytest.raises(DataError, match=r"stdin is empty\. Pipe a picture"):
        find_sources(["-"], stdin=io.BytesIO())
    with pytest.raises(DataError, match="stdin holds a video"):
        find_sources(["-"], stdin=io.BytesIO(clip.read_bytes()))
    with pytest.raises(ParameterError, match="--stdin names has no effect without stdin"):
        find_sources(["mixed"], stdin_holds="names")


def test_drawn_names_are_distinct_and_never_a_source(tmp_path):
    sources = [
        Source("x/clip.avi", tmp_path / "x/clip.avi", moves=True),
        Source("y/clip.mp4", tmp_path / "y/clip.mp4", moves=True),
        Source("camera 0", 0, moves=True),
        Source("clip.jpg", tmp_path / "clip.jpg"),
    ]
    names = drawn_names(sources, tmp_path / "drawn")
    assert names == ["clip.mp4", "clip_2.mp4", "camera_0.mp4", "clip.png"]
    for folder in ("x", "y"):
        with pytest.raises(ParameterError, match=f"{folder}/clip.* would be replaced by"):
            drawn_names(sources, tmp_path / folder)


def test_detect_writes_all_kinds_of_results(model, clip, tmp_path):
    picture = tmp_path / "still.png"
    Image.fromarray(scene(0)[0]).save(picture)
    out = tmp_path / "out"
    result = invoke(
        picture, clip, "--model", model, "--save-dir", out, "--out", tmp_path / "found.json",
        "--csv", tmp_path / "found.csv", "--jsonl", tmp_path / "found.jsonl", "--every", "3",
        "--fps", "--jobs", "2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = json_lines((tmp_path / "found.jsonl").read_text())
    assert [line["frame"] for line in lines] == [None, 0, 3, 6, 9, 12, 15]
    assert lines[0]["time_s"] is None
    assert lines[2]["time_s"] == pytest.approx(3 / RATE)
    assert {line["source"] for line in lines[1:]} == {str(clip)}
    results = json.loads((tmp_path / "found.json").read_text())
    assert [each["image_id"] for each in results] == sorted(each["image_id"] for each in results)
    ids = {each["file_name"]: each["image_id"] for each in results}
    assert ids[str(picture)] == 1
    assert ids[f"{clip}#6"] == 4
    n_found = sum(len(line["detections"]) for line in lines)
    assert n_found == len(results) == len(result.stdout.splitlines())
    assert len((tmp_path / "found.csv").read_text().splitlines()) == n_found + 1
    assert f"{clip}#6: cross" in result.stdout
    assert "in 1 picture and 6 frames of clip.avi" in result.stderr.replace("\n", " ")
    assert "fps overall" in result.stderr.replace("\n", " ")
    assert sorted(path.name for path in out.iterdir()) == ["clip.mp4", "still.png"]


def test_lines_hold_what_was_found(toy, model, clip):
    lines = json_lines(invoke(clip, "--model", model, "--jsonl", "-").stdout)
    assert [line["frame"] for line in lines] == list(range(N_FRAMES))
    expected = toy.detector.detect(frames_of(clip)[4])
    entry = lines[4]["detections"][0]
    assert list(entry) == ["label", "score", "x", "y", "width", "height"]
    x1, y1, x2, y2 = expected.boxes[0]
    assert [entry[k] for k in ("x", "y", "width", "height")] == pytest.approx(
        [x1, y1, x2 - x1, y2 - y1], abs=0.01
    )
    assert entry["score"] == pytest.approx(expected.scores[0], abs=1e-6)


def test_lines_are_flushed_as_they_come(toy, clip, tmp_path):
    from bootstrap_det.detection_files import JsonLines

    path = tmp_path / "live.jsonl"
    with JsonLines(path) as lines:
        for n_written, found in enumerate(detect_video(toy.detector, clip), start=1):
            lines.write(found)
            assert len(json_lines(path.read_text())) == n_written


def test_lines_of_classes_name_them_and_how_sure_boxes_are():
    from bootstrap_det.streaming import FrameDetections

    one = np.array([0.5])
    found = Detections(
        np.array([[1.0, 2, 4, 6]]), one, np.array(["group"]), classes=np.array(["kind"]),
        class_probabilities=one, probabilities=one, deviations=np.array([[1.0, 2, 3, 4.567]]),
    )  # fmt: skip
    entry = FrameDetections("a.png", None, None, found, 0.1).to_dict()["detections"][0]
    assert entry["label"] == "group"
    assert entry["class"] == "kind"
    assert entry["deviations"] == [1.0, 2.0, 3.0, 4.57]
    assert entry["class_probability"] == entry["probability"] == 0.5


def test_a_folder_of_pictures_and_videos(model, clip, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.avi").write_bytes(clip.read_bytes())
    Image.fromarray(scene(0)[0]).save(tmp_path / "in/b.png")
    result = invoke(tmp_path / "in", "--model", model, "--max-frames", "2")
    assert "in 1 picture and 2 frames of a.avi" in result.stderr.replace("\n", " ")


def test_drawn_videos_keep_length_rate_and_size_and_show_boxes(model, clip, tmp_path):
    assert invoke(clip, "--model", model, "--save-dir", tmp_path).exit_code == 0
    drawn = tmp_path / "clip.mp4"
    assert os.listdir(tmp_path) == ["clip.mp4"]
    with Video(drawn) as video:
        assert video.rate == pytest.approx(RATE)
        frames = [frame.pixels for frame in video.frames()]
    assert len(frames) == N_FRAMES
    for index, frame in enumerate(frames):
        assert frame.shape == (80, 96, 3)
        red, green, blue = frame.astype(int).transpose(2, 0, 1)
        greenish = (green > red + 40) & (green > blue + 40)
        rows, columns = np.nonzero(greenish)
        x1, y1, _, y2 = scene(index)[1]
        assert greenish.sum() > 40
        assert abs(columns.min() - x1) < 8
        assert abs(rows.max() - y2) < 12 or abs(rows.min() - y1) < 12


def test_drawn_rates(model, clip, tmp_path):
    args = (clip, "--model", model, "--every", "4", "--save-dir")
    assert invoke(*args, tmp_path / "plain").exit_code == 0
    assert invoke(*args, tmp_path / "fps", "--fps").exit_code == 0
    plain, shown = (frames_of(tmp_path / name / "clip.mp4") for name in ("plain", "fps"))
    assert len(plain) == len(shown) == 4
    assert abs(plain[1][:10, :30].astype(int) - shown[1][:10, :30]).mean() > 10
    with Video(tmp_path / "fps/clip.mp4") as video:
        assert video.rate == pytest.approx(RATE / 4)


def test_odd_sides_are_continued(tmp_path):
    path = tmp_path / "odd.mp4"
    picture = np.full((33, 47, 3), 90, np.uint8)
    with VideoFile(path, 10.0) as output:
        for _ in range(3):
            output.write(picture)
    frames = frames_of(path)
    assert [frame.shape for frame in frames] == [(34, 48, 3)] * 3
    assert abs(frames[0].astype(int) - 90).max() < 12


def test_partial_videos_leave_nothing(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"an earlier one")

    def write(error):
        with VideoFile(path, 10.0) as output:
            output.write(np.zeros((32, 32, 3), np.uint8))
            raise error

    for error in (DataError("broken"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write(error)
    assert path.read_bytes() == b"an earlier one"
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_videos_that_cannot_be_written_say_so(tmp_path):
    def write(path, *sizes):
        with VideoFile(path, 10.0) as output:
            for size in sizes:
                output.write(np.zeros((*size, 3), np.uint8))

    with pytest.raises(DataError, match=r"cannot be written\. Check the folder"):
        write(tmp_path / "missing/a.mp4", (32, 32))
    with pytest.raises(DataError, match="frames change from 32 x 32 to 16 x 32 px"):
        write(tmp_path / "a.mp4", (32, 32), (32, 16))
    assert os.listdir(tmp_path) == []


def test_without_the_codec_the_video_is_an_avi(monkeypatch, model, clip, tmp_path):
    import bootstrap_det.video_files as video_files

    monkeypatch.setattr(video_files, "_CODECS", ((".mp4", "ZZZZ"), (".avi", "MJPG")))
    result = invoke(clip, "--model", model, "--save-dir", tmp_path)
    assert "note: there is no MPEG-4 encoder here: written as clip.avi" in result.stderr
    assert os.listdir(tmp_path) == ["clip.avi"]
    assert len(frames_of(tmp_path / "clip.avi")) == N_FRAMES


def test_cameras_end_with_max_frames(model, camera, tmp_path):
    fake = camera()
    result = invoke("0", "--model", model, "--max-frames", "5", "--save-dir", tmp_path, "--jsonl",
                    "-")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert [line["source"] for line in json_lines(result.stdout)] == ["camera 0"] * 5
    assert "in 5 frames of camera 0" in result.stderr
    assert len(frames_of(tmp_path / "camera_0.mp4")) == 5
    assert fake.released


def test_ctrl_c_ends_a_camera_cleanly(model, camera, tmp_path):
    fake = camera(9, at_end=KeyboardInterrupt())
    result = invoke(
        "0", "--model", model, "--save-dir", tmp_path / "drawn", "--out", tmp_path / "found.json",
        "--jsonl", tmp_path / "found.jsonl", "--jobs", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    n_frames = len(json_lines((tmp_path / "found.jsonl").read_text()))
    assert 7 <= n_frames <= 9
    assert f"in {n_frames} frames of camera 0" in result.stderr
    assert len(frames_of(tmp_path / "drawn/camera_0.mp4")) == n_frames
    assert json.loads((tmp_path / "found.json").read_text())
    assert fake.released


def test_ctrl_c_leaves_no_part_of_a_file(model, camera, clip, tmp_path):
    fake = camera(9, at_end=KeyboardInterrupt())
    result = invoke(clip, "--model", model, "--save-dir", tmp_path / "drawn", "--out",
                    tmp_path / "found.json")  # fmt: skip
    assert result.exit_code == 1
    assert "Error: Interrupted after 0 pictures and" in result.output
    assert os.listdir(tmp_path / "drawn") == []
    assert not (tmp_path / "found.json").exists()
    assert fake.released


def test_frames_that_cannot_be_decoded_are_counted(camera, monkeypatch):
    fake = camera(6)
    decode = fake.retrieve
    monkeypatch.setattr(
        fake, "retrieve", lambda: (False, None) if fake.n_grabbed == 3 else decode()
    )
    with Video(0) as video:
        assert [frame.number for frame in video.frames()] == [0, 1, 3, 4, 5]
    assert video.note == "camera 0: 1 of 6 frames could not be decoded."


def test_times_that_do_not_rise_are_counted_by_the_rate(camera, clip):
    camera(4)  # it says 0 of everything
    with Video(clip) as video:
        assert [frame.time_s for frame in video.frames()] == pytest.approx([0, 0.04, 0.08, 0.12])


def test_a_closed_pipe_ends_quietly(model, clip, tmp_path):
    again = write_video(tmp_path / "again.avi", n_frames=400)  # longer than the reader may take
    code = "from bootstrap_det.cli import main; main()"
    command = [sys.executable, "-c", code, "detect", clip, again, "--model", model, "--jsonl", "-",
               "--save-dir", tmp_path / "drawn"]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        first = process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert json.loads(first)["frame"] == 0
    assert said.startswith("note: stdout was closed after")
    assert not (tmp_path / "drawn/again.mp4").exists()


def test_pictures_come_by_stdin(model, tmp_path):
    encoded = io.BytesIO()
    Image.fromarray(scene(3)[0]).save(encoded, "PNG")
    result = invoke("-", "--model", model, "--save-dir", tmp_path, input=encoded.getvalue())
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("-: cross ")
    assert os.listdir(tmp_path) == ["stdin.png"]
    bad = invoke("-", "--model", model, input=b"words")
    assert bad.exit_code == 1
    assert "Error: -: is not a picture" in bad.output


def test_names_come_by_stdin(model, clip, tmp_path):
    picture = tmp_path / "a [1].png"
    Image.fromarray(scene(0)[0]).save(picture)
    names = f"{picture}\n{clip}\n".encode()
    result = invoke("-", "--stdin", "names", "--model", model, "--max-frames", "2", input=names)
    assert result.exit_code == 0, result.output
    assert "in 1 picture and 2 frames of clip.avi" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--every", "2"], "--every can be used with videos and cameras only"),
        (["--fps", "--smooth", "3"], "--smooth, --fps can be used with videos"),
        (["--stdin", "names"], "--stdin names has no effect"),
        (["--json", "--jsonl", "-"], "--json and --jsonl - both write to stdout"),
        (["--every", "0"], "Invalid value for '--every'"),
    ],
)
def test_usage_errors(model, tmp_path, arguments, said):
    picture = tmp_path / "a.png"
    Image.fromarray(scene(0)[0]).save(picture)
    result = invoke(picture, "--model", model, *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_rates_need_a_folder(model, clip):
    result = invoke(clip, "--model", model, "--fps")
    assert result.exit_code == 2
    assert "--fps is drawn into videos. Give the folder" in result.output


def test_a_start_behind_the_end_is_said(model, clip, tmp_path):
    result = invoke(clip, "--model", model, "--start", "60", "--save-dir", tmp_path)
    assert result.exit_code == 0
    assert "ends before the start at 60 s: no frame" in result.stderr.replace("\n", " ")
    assert os.listdir(tmp_path) == []


def test_a_tally_does_not_grow_with_the_frames(toy, camera):
    camera(40)
    run = DetectionRun(toy.detector, [Source("camera 0", 0, moves=True)], DetectionOptions())
    for found in run.results():
        assert found.detections.image_id == found.frame + 1
    assert run.tally.n_frames == 40
    assert run.tally.frame_seconds.maxlen
    assert run.live is False
    assert run.tally.videos == ["camera 0"]


def test_progress_is_shown_on_terminals_only(monkeypatch):
    from rich.console import Console

    from bootstrap_det import _console

    shown = {}
    for is_terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=is_terminal, width=80)
        monkeypatch.setattr(_console, "make_console", lambda console=console, **_: console)
        display = _console.DetectionDisplay()
        with display.progress:
            for n_done in (1, 2):
                display.on_progress("[clip].mp4", n_done, 2)
            display.progress.refresh()
        shown[is_terminal] = stream.getvalue()
    assert "[clip].mp4" in shown[True]
    assert "2/2" in shown[True]
    assert shown[False].strip() == ""
