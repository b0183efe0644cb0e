"""Small videos for tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def pattern(shift: int = 0, size: tuple[int, int] = (32, 40), channels: int = 3) -> np.ndarray:
    """A smooth random pattern that moves to the left and up by `shift` pixels."""
    noise = np.random.default_rng(0).uniform(0, 255, (120, 120, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).reshape(120, 120, channels)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return smooth[shift : shift + size[0], shift : shift + size[1]].astype(np.uint8)


def make_video(
    path: Path, frames: int = 9, size: tuple[int, int] = (32, 40), sound: bool = True, codec: str = "libx264"
) -> Path:
    """Frames of `pattern`, ten a second, and a tone. Needs PyAV."""
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height = size[1], size[0]
        stream.pix_fmt = "yuv420p" if not (size[0] % 2 or size[1] % 2) else "yuv444p"
        tone = output.add_stream("aac", rate=16000) if sound else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pattern(i, size)), format="rgb24")
            frame.pts = i
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if tone:
            wave = (np.sin(np.arange(1600 * frames) / 9) * 9000).astype(np.int16)[None]
            for k in range(0, wave.shape[1], 1024):
                part = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, k : k + 1024]), "s16", "mono")
                part.sample_rate, part.pts = 16000, k
                output.mux(tone.encode(part))
            output.mux(tone.encode(None))
    return path
