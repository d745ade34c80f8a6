"""The child process that draws: the charts' own script in V8, and resvg for PNG.

    python -m service.pictures.drawing_process SCRIPT FONTS

Started by ``painter.Painter``. It reads jobs from its standard input and writes one answer to each:

    job       JSON, its length before it: {"describe": {…}, "draw": {…}, "scale": N or null}; then the answer
              of the API that is to be drawn, as JSON, its length before it
    answer    one byte, its length, and that many bytes: b"+" and the picture, b"-" and why it cannot be drawn

Lengths have four bytes, the most significant first. The process ends with its input, or once its memory has
grown beyond ``MEMORY_MAX``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from py_mini_racer import JSEvalException, JSOOMException, MiniRacer

PICTURE = b"+"
REFUSAL = b"-"
LENGTH_BYTES = 4
V8_BYTES_MAX = 256 << 20
MEMORY_MAX = 512 << 20
_FACES = ("Inter-Regular.ttf", "Inter-SemiBold.ttf")
_GLUE = """
globalThis.picture = (job, answer) => {
  const { describe, draw } = JSON.parse(job);
  try {
    return "+" + AcumenDraw.draw(AcumenDraw.describe(JSON.parse(answer), describe), draw);
  } catch (error) {
    if (error instanceof AcumenDraw.ChartError || error instanceof RangeError) return "-" + error.message;
    throw error;
  }
};
"""


def draws(script: Path, fonts: Path) -> Callable[[bytes, bytes], tuple[bytes, bytes]]:
    """A function from a job and an answer to the kind and bytes of its result."""
    engine = MiniRacer()
    engine.set_hard_memory_limit(V8_BYTES_MAX)
    engine.eval(script.read_text(encoding="utf-8"))
    engine.eval(_GLUE)

    def draw(job: bytes, answer: bytes) -> tuple[bytes, bytes]:
        try:
            text = engine.call("picture", job.decode(), answer.decode())
        except JSOOMException:
            return REFUSAL, b"The result is too large to be drawn. Ask for fewer groups or intervals."
        except JSEvalException as error:
            return REFUSAL, f"The result cannot be drawn: {str(error).splitlines()[0]}".encode()
        kind, drawn = text[:1].encode(), text[1:]
        scale = json.loads(job)["scale"]
        if kind == REFUSAL or scale is None:
            return kind, drawn.encode()
        return kind, _png(drawn, scale, fonts)

    return draw


def _png(svg: str, scale: float, fonts: Path) -> bytes:
    # Only a few pictures are PNGs, so the library is loaded for them alone.
    import resvg_py

    # System fonts come after the product's own, for scripts that it lacks.
    faces = [str(fonts / face) for face in _FACES]
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, font_files=faces, font_family="Inter", zoom=scale))


def read_message(stream: BinaryIO) -> bytes | None:
    """The next message of a stream with lengths; None at its end."""
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    content = stream.read(length)
    return content if len(content) == length else None


def with_length(content: bytes) -> bytes:
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


def _serve(jobs: BinaryIO, answers: BinaryIO, draw: Callable[[bytes, bytes], Any]) -> None:
    while (job := read_message(jobs)) is not None and (answer := read_message(jobs)) is not None:
        kind, content = draw(job, answer)
        answers.write(kind + with_length(content))
        answers.flush()
        if _resident_bytes() > MEMORY_MAX:
            return


if __name__ == "__main__":
    os.nice(5)
    _serve(sys.stdin.buffer, sys.stdout.buffer, draws(Path(sys.argv[1]), Path(sys.argv[2])))
