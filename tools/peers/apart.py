"""What single parts of ours cost for a client and tick, measured apart: quantising, sealing for edges, CURVE, checking.

Owns these small measurements, on a ward of 20 at 20 Hz. No sockets: what sockets cost is what the bare relay costs.
"""

import ctypes
import os

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.config import Config
from server.sim.blocks import NOTHING, encode_blocks
from server.sim.poses import NO_POSES
from tools.bench_timing import Row, Sample, cost_us
from tools.peers import build
from tools.peers.interest import PEOPLE, Scene

WARD = 20
MAC = 16
POSE_BYTES, VIEW_BYTES = 39, 450


def _curve() -> list[Row]:
    """One pose opened and one view sealed, as libzmq's CURVE does for each client; its library is libsodium too."""
    path = build.libsodium()
    if path is None:
        return []
    sodium = ctypes.CDLL(str(path))
    key, nonce = os.urandom(32), os.urandom(24)
    pose, view = bytes(POSE_BYTES + 1), bytes(VIEW_BYTES + 1)
    sealed, out = ctypes.create_string_buffer(len(pose) + MAC), ctypes.create_string_buffer(len(view) + MAC)
    size = ctypes.c_ulonglong
    sodium.crypto_box_easy_afternm(sealed, pose, size(len(pose)), nonce, key)

    def both() -> None:
        opened = sodium.crypto_box_open_easy_afternm(out, sealed, size(len(pose) + MAC), nonce, key)
        assert opened == 0
        sodium.crypto_box_easy_afternm(out, view, size(len(view)), nonce, key)

    def neither() -> None:
        sodium.crypto_box_macbytes()
        sodium.crypto_box_macbytes()

    cost = cost_us(both)
    return [Row(f"CURVE: open {POSE_BYTES} B, seal {VIEW_BYTES} B", "us", cost, 0.0,
                f"{cost_us(neither).median:.1f} us of it are the calls from Python")]  # fmt: skip


def _sealed_views() -> Row:
    """A room's view sealed for the edges and opened there: once for a ward, so a twentieth for each."""
    box, nonce, view = AESGCM(os.urandom(32)), os.urandom(12), bytes(VIEW_BYTES)

    def both() -> None:
        box.decrypt(nonce, box.encrypt(nonce, view, nonce), nonce)

    return Row(f"AES-GCM: a view of {VIEW_BYTES} B sealed and opened", "us", cost_us(both).scaled(1 / WARD))


def _encode(scene: Scene) -> Row:
    """Quantised, against the keyframe, packed: everybody of a hall once, whoever sees it. The step is taken off."""
    every, avatars, things = Config().keyframe_every, scene.world.avatars, scene.world.things
    shown, heroes = np.ones(1, np.bool_), np.zeros(0, np.int64)
    tick, baselines = 0, NOTHING

    def encode() -> None:
        nonlocal tick, baselines
        scene.step()
        tick += 1
        _, baselines = encode_blocks(avatars, things, shown, heroes, tick, every, baselines)

    both, less = cost_us(encode), cost_us(scene.step).median
    alone = Sample(both.median - less, both.low - less, both.high - less)
    return Row("quantise, compare with the keyframe, pack", "us", alone.scaled(1 / PEOPLE))


def _step(scene: Scene) -> list[Row]:
    """The world's own work: every pose clamped, everybody moved, pushed apart and stopped by walls."""

    def still() -> None:
        scene.world.step([], NO_POSES)

    return [Row("a step of the world with everybody's pose", "us", cost_us(scene.step).scaled(1 / PEOPLE)),
            Row("a step of the world without poses", "us", cost_us(still).scaled(1 / PEOPLE))]  # fmt: skip


def rows() -> list[Row]:
    """All of them."""
    scene = Scene()
    return [*_step(scene), _encode(scene), _sealed_views(), *_curve()]
