"""What the parameter sets of H.264 and HEVC say of fields, which NVDEC would weave together without a word.

Sources: ITU-T H.264, 7.3.2.1.1; ITU-T H.265, 7.3.2.2.1 and 7.3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

_START = b"\0\0\1"  # before every unit in Annex B
_WITH_CHROMA_FORMAT = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})  # H.264's profile_idc


def sequence_sets(codec: str, data: bytes) -> Iterator[bytes]:
    """The sequence parameter sets in a packet in Annex B, their header included."""
    begin = data.find(_START)
    while begin >= 0:
        begin += len(_START)
        end = data.find(_START, begin)
        if begin < len(data) and _is_sequence_set(codec, data[begin]):
            yield data[begin : end if end >= 0 else len(data)].rstrip(b"\0")
        begin = end


def frames_only(codec: str, sequence_set: bytes) -> bool:
    """Whether the set rules out that pictures are coded or meant as fields; raises `ValueError` where it is cut off."""
    bits = _Bits(sequence_set.replace(b"\0\0\3", b"\0\0"))  # the 3 is there so that no start code is
    if codec == "hevc":
        bits.skip(16 + 8 + 8 + 32)  # unit header; identifiers; profile space, tier and number; compatibility
        progressive, interlaced = bits.take(1), bits.take(1)
        return bool(progressive) and not interlaced
    return _h264_frames_only(bits)


class _Bits:
    """A string of bits, the most significant of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("a parameter set ends early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        self.take(count)

    def unsigned(self) -> int:
        """ue(v), 9.1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """se(v), 9.1.1."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)


def _is_sequence_set(codec: str, header: int) -> bool:
    return (header >> 1) & 63 == 33 if codec == "hevc" else header & 31 == 7


def _h264_frames_only(bits: _Bits) -> bool:
    bits.skip(8)  # unit header
    profile = bits.take(8)
    bits.skip(16)  # constraints, level
    bits.unsigned()  # seq_parameter_set_id
    if profile in _WITH_CHROMA_FORMAT:
        _skip_chroma_format(bits)
    bits.unsigned()  # log2_max_frame_num_minus4
    counting = bits.unsigned()  # pic_order_cnt_type
    if counting == 0:
        bits.unsigned()
    elif counting == 1:
        bits.skip(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()  # max_num_ref_frames
    bits.skip(1)
    bits.unsigned()  # width and height in macroblocks
    bits.unsigned()
    return bool(bits.take(1))  # frame_mbs_only_flag


def _skip_chroma_format(bits: _Bits) -> None:
    chroma = bits.unsigned()
    if chroma == 3:
        bits.skip(1)
    bits.unsigned()  # depth of luma, of chroma
    bits.unsigned()
    bits.skip(1)
    if bits.take(1):  # seq_scaling_matrix_present_flag
        for number in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    """7.3.2.1.1.1: as soon as the next scale is 0 the rest repeats the last one."""
    last = 8
    for _ in range(size):
        coming = (last + bits.signed()) % 256
        if coming == 0:
            return
        last = coming
