"""A video may hold streams, not directions: nothing that it names is opened, on this machine or another."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from runtime.errors import InputError
from runtime.video import VideoReader, open_reader, probe
from tests.clips import Clip, write_clip
from tests.recoded import recode


class Listener:
    """A socket on 127.0.0.1 that records who connects."""

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("secret") / "secret.ts", Clip(frames=12))


SCRIPTS = {
    "list.ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "list.txt": "ffconcat version 1.0\nfile {target}\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    "master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\n{target}\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "manifest.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S" minBufferTime="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL><SegmentList duration="1">'
    '<SegmentURL media="{target}"/></SegmentList></Representation></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("disguise", ["", "holiday.mp4", "holiday.mkv", "holiday.ts"])
@pytest.mark.parametrize("where", ["file", "http"])
def test_a_playlist_given_as_a_video_is_refused_unopened(
    tmp_path: Path, secret: Path, listener: Listener, name: str, disguise: str, where: str
) -> None:
    target = str(secret) if where == "file" else f"http://127.0.0.1:{listener.port}/video.ts"
    path = tmp_path / (disguise or name)
    path.write_text(SCRIPTS[name].format(target=target, port=listener.port))
    for keep_going in (False, True):
        with pytest.raises(InputError, match=r"not a video file that can be opened; .*playlists and scripts"):
            VideoReader(path, keep_going=keep_going)
    assert listener.visits == 0


def test_the_same_playlist_does_open_its_file_without_the_lists_of_what_may(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "list.ffconcat"
    path.write_text(SCRIPTS["list.ffconcat"].format(target=secret.name))
    (tmp_path / secret.name).write_bytes(secret.read_bytes())
    with av.open(str(path)) as container:  # so the test above is about something
        assert sum(1 for _ in container.decode(video=0)) == 12


@pytest.mark.parametrize("scheme", ["http", "tcp", "rtmp"])
def test_an_address_as_a_name_is_only_a_name(listener: Listener, scheme: str) -> None:
    with pytest.raises(InputError, match=r"no such file"):
        probe(Path(f"{scheme}://127.0.0.1:{listener.port}/video.mp4"))
    assert listener.visits == 0


@pytest.mark.parametrize("name", ["concat:a.mp4", "crypto:a.mp4", "subfile,,start,0,end,9,,:a.mp4", "file:a.mp4"])
def test_a_name_that_looks_like_a_protocol_is_still_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = write_clip(tmp_path / "made.mp4", Clip(frames=3))
    made.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    recode(Path(name), Path(f"out-{name}"))
    assert probe(Path(f"out-{name}")).frames == 3


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_numbered_picture_does_not_open_its_neighbours(tmp_path: Path, suffix: str) -> None:
    for number in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"frame{number}{suffix}")
    for name in (f"frame0{suffix}", f"frame%d{suffix}"):
        with pytest.raises(InputError, match=r"not a video file|no such file"):
            probe(tmp_path / name)


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("where", ["file", "http"])
def test_a_playlist_among_pictures_is_not_opened(
    tmp_path: Path, secret: Path, listener: Listener, name: str, where: str
) -> None:
    target = str(secret) if where == "file" else f"http://127.0.0.1:{listener.port}/picture.png"
    (tmp_path / "00000.png").write_text(SCRIPTS[name].format(target=target, port=listener.port))
    for path in (tmp_path, tmp_path / "%05d.png"):
        with pytest.raises(InputError, match=r"no picture decodes \(00000\.png: not one of PNG, JPEG"):
            open_reader(path)
    assert listener.visits == 0
