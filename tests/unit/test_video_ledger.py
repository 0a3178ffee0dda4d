"""Packets in, pictures out: which differences are losses and which are not."""

from __future__ import annotations

from fractions import Fraction

from av.packet import Packet
from av.video.frame import VideoFrame

from runtime._video.ledger import Ledger

LOST = "lost at {:.3f} s (its packet does not decode)"


def run(codec: str, sent: list[tuple[int, bool]], came: list[int], container: str = "matroska,webm") -> Ledger:
    """Send packets of these times (and whether key frames) ahead of all pictures; pictures come as listed."""
    ledger = Ledger(codec, container, Fraction(1, 10))
    for pts, key in sent:
        packet = Packet(b"data")
        packet.pts, packet.is_keyframe = pts, key
        ledger.sent(packet)
    for pts in came:
        picture = VideoFrame(16, 16, "yuv420p")
        picture.pts = pts
        if ledger.came(picture):
            ledger.kept()
    return ledger


def keyed(*times: int) -> list[tuple[int, bool]]:
    return [(pts, index == 0) for index, pts in enumerate(times)]


def test_reordered_pictures_are_no_losses() -> None:
    ledger = run("h264", keyed(0, 3, 1, 2), [0, 1, 2, 3])
    ledger.ended(4)
    assert (ledger.losses, ledger.decoded, ledger.counted) == ([], 4, 4)


def test_a_packet_whose_time_never_comes_is_a_lost_frame_with_its_number() -> None:
    ledger = run("h264", keyed(0, 1, 2, 3), [0, 1, 3])
    ledger.ended(4)
    assert ledger.losses == [f"frame 2: {LOST.format(0.2)}"]
    assert (ledger.decoded, ledger.counted) == (3, 4)


def test_a_last_frame_that_never_comes_is_lost_where_no_count_is_declared() -> None:
    ledger = run("hevc", keyed(0, 1, 2), [0, 1])
    ledger.ended(None)
    assert ledger.losses == [f"frame 2: {LOST.format(0.2)}"]


def test_pictures_hidden_in_packets_of_their_own_are_not_missed() -> None:
    ledger = run("libvpx", keyed(0, 1, 2, 3), [0, 1, 3])
    ledger.ended(None)
    assert ledger.losses == []


def test_packets_of_containers_without_times_are_not_matched() -> None:
    ledger = run("h264", keyed(0, 1, 2, 3), [0, 4, 5, 6], container="avi")
    ledger.ended(4)
    assert ledger.losses == []


def test_what_precedes_the_first_key_frame_is_not_missed() -> None:
    ledger = run("h264", [(2, False), (5, True), (3, False), (4, False), (6, False)], [5, 6])
    ledger.ended(None)
    assert ledger.losses == []


def test_a_picture_that_comes_too_late_is_lost_so_that_numbers_ascend() -> None:
    ledger = run("h264", keyed(0, 1, 2, 3), [0, 2, 1, 3])
    ledger.ended(4)
    assert ledger.losses == ["frame 1: lost at 0.100 s (it came out after a later one)"]
    assert (ledger.decoded, ledger.counted) == (3, 4)


def test_declared_frames_that_never_came_are_missing_at_the_end() -> None:
    ledger = run("mpeg4", keyed(0, 1), [0, 1], container="mov,mp4,m4a,3gp,3g2,mj2")
    ledger.ended(5)
    assert ledger.losses == ["frames 2 to 4: missing at the end"]
    assert (ledger.decoded, ledger.counted) == (2, 5)


def test_a_packet_that_the_container_calls_broken_taints_its_picture() -> None:
    ledger = Ledger("h264", "mpegts", Fraction(1, 10))
    packet = Packet(b"data")
    packet.pts, packet.is_keyframe, packet.is_corrupt = 0, True, True
    ledger.sent(packet)
    picture = VideoFrame(16, 16, "yuv420p")
    picture.pts = 0
    ledger.came(picture)
    assert ledger.losses == ["frame 0: damaged, used as far as it decodes"]
