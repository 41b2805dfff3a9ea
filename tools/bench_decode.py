"""`python -m tools.bench_decode`: what a frame of a full hall costs a browser to decode, in Node.

Owns the frames, recorded people in the cells around one viewer and everybody else far, and the table. Never fails for
slowness.
"""

import itertools
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

import hatch_build
from server.sim.blocks import NOTHING, encode_blocks
from server.sim.far import far_body
from server.sim.frame import write_frame
from server.sim.grid import FAR
from server.sim.state import new_things
from tools.bench_timing import Row, Sample, table
from tools.moving import walkers

WEB = Path(__file__).parents[1] / "clients" / "web"
PEOPLE, TICKS, EVERY, PARTS = 1000, 40, 10, 10
NEAR, CELLS = (60, 200), 9  # avatars near the viewer, in so many cells


def frames_of(near: int) -> list[bytes]:
    """What a viewer gets who has `near` of the people around and hears of all of them from far."""
    things, shown, none, baselines = new_things(1), np.ones(1, np.bool_), np.zeros(0, np.int64), NOTHING
    found = []
    for tick, avatars in enumerate(itertools.islice(walkers(PEOPLE), TICKS)):
        avatars.cell[:] = np.where(np.arange(PEOPLE) < near, np.arange(PEOPLE) % CELLS, CELLS)
        blocks, baselines = encode_blocks(avatars, things, shown, none, tick, EVERY, baselines)
        parts = [
            (int(cell), blocks.data[a:b]) for cell, a, b in zip(blocks.cell, blocks.start, blocks.end, strict=True)
        ]
        far = (FAR, far_body(avatars, np.arange(PEOPLE), tick % PARTS, PARTS))
        found.append(write_frame(0, tick, 4, (*parts[:CELLS], far)))
    return found


def built(folder: Path) -> Path:
    """The script that decodes, for Node."""
    vite = WEB / "node_modules" / "vite" / "bin" / "vite.js"
    words = [str(vite), "build", "--ssr", "bench/decode.ts", "--outDir", str(folder), "--logLevel", "error"]
    subprocess.run([str(hatch_build.node_folder() / "node"), *words], cwd=WEB, check=True)
    return folder / "decode.js"


def run() -> list[Row]:
    """The section: median, and the 99th percentile as the upper end."""
    found = []
    hatch_build.install_packages(WEB)
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder:
        script = built(Path(folder))
        for near in NEAR:
            lines = "\n".join(frame.hex() for frame in frames_of(near))
            node = [str(hatch_build.node_folder() / "node"), str(script)]
            done = subprocess.run(node, input=lines, capture_output=True, text=True, check=True)
            told = json.loads(done.stdout)
            low, middle, high = np.percentile(told["spent"], [1, 50, 99])
            note = f"{told['near']} near, {told['far']} far"
            found.append(Row(f"decode a frame, {near} near", "ms", Sample(middle, low, high), note=note))
    return found


if __name__ == "__main__":
    Console().print(table("A browser's decoder in Node: median, 1st and 99th percentile of frames", run()))
