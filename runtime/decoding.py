"""Who decodes a video: the CPU, or the decoder of the GPU that the network runs on anyway.  See docs/adr/0018."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.device import Device
from runtime.errors import DecoderUnavailable
from runtime.job import Job
from runtime.nvdec import DecoderFault, Nvdec
from runtime.video import VideoInfo, coded, unsuited

AUTO, CPU, NVDEC = "auto", "cpu", "nvdec"
DECODERS = (AUTO, CPU, NVDEC)


@dataclass(frozen=True, slots=True)
class Decoding:
    """What was decided for one video."""

    nvdec: Nvdec | None = None  # None: the CPU
    why_cpu: str | None = None  # without a full stop; None where nobody asked and no GPU runs

    @property
    def name(self) -> str:
        """`cpu`, `nvdec`, or `nvdec+cpu` where the CPU had to go on; final when the video was read."""
        if self.nvdec is None:
            return CPU
        return f"{NVDEC}+{CPU}" if self.nvdec.stopped else NVDEC

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should hear of it, each once; complete when the video was read."""
        if self.nvdec is None:
            return () if self.why_cpu is None else (f"decoded on the CPU: {self.why_cpu}",)
        return tuple(dict.fromkeys(self.nvdec.stopped))


def decide(job: Job, info: VideoInfo, device: Device) -> Decoding:
    """Who decodes the video of `job`, whose network runs on `device`.

    Raises `DecoderUnavailable` where NVDEC was asked for by name and cannot.
    """
    if job.decoder == CPU or (job.decoder == AUTO and device.memory == "host"):
        return Decoding()
    found = _open(job, info, device)
    if isinstance(found, Nvdec):
        return Decoding(found)
    if job.decoder == NVDEC:
        raise DecoderUnavailable(f"{info.path}: --decoder nvdec: {found}. Leave --decoder out: the CPU decodes then")
    return Decoding(None, found)


def _open(job: Job, info: VideoInfo, device: Device) -> Nvdec | str:
    """NVDEC, or why not, without a full stop."""
    if device.memory == "host":
        return "NVDEC decodes where the network runs on a GPU, and it runs on the CPU here"
    if job.keep_going or job.deinterlace:
        return f"{'--keep-going' if job.keep_going else '--deinterlace'} is the CPU's work"
    reason = unsuited(info, damage_is_told=job.decoder != NVDEC)
    if reason is not None:
        return reason
    try:
        nvdec = Nvdec(device)
    except DecoderFault as fault:
        return str(fault)
    return nvdec.why_not(coded(info)) or nvdec
