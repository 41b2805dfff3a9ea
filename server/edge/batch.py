"""What all browsers of an edge said since the last tick, as one link message.

Owns the bounds of a batch. A pose stays the masked frame it came as until the batch is taken: then all are unmasked at
once. Everything else is opaque.
"""

import numpy as np

from server.edge.browser import Browser
from server.edge.client_frames import MASK_BYTES
from server.net.link import FromBrowsers

POSE_KIND, POSE_BYTES = 0x10, 39
POSE_HEADER = bytes((0x82, 0x80 | POSE_BYTES))
MASK_AT, POSE_AT = 2, 2 + MASK_BYTES
FRAME_BYTES = POSE_AT + POSE_BYTES
MASK_COLUMNS = MASK_AT + np.arange(POSE_BYTES) % MASK_BYTES
YAW = slice(9, 11)  # of a pose (PROTOCOL.md, frame 0x10)
UNMASKED = POSE_HEADER + bytes(MASK_BYTES)
POSES_EACH = 4  # of one browser in one batch; of what is more the newest counts
TOTAL_MAX = 8192  # messages, and poses, of all browsers in one batch


def is_pose_frame(data: bytes) -> bool:
    """Whether these bytes begin with a pose in a frame of its own."""
    return len(data) >= FRAME_BYTES and data.startswith(POSE_HEADER) and data[MASK_AT] ^ data[POSE_AT] == POSE_KIND


def is_pose(message: bytes) -> bool:
    """Whether this message is a pose."""
    return len(message) == POSE_BYTES and message[0] == POSE_KIND


class Batch:
    """Messages and poses in arrival order. What finds no room is dropped: the methods then say False."""

    def __init__(self, messages_each: int) -> None:
        """`messages_each`: of one browser in one batch."""
        self._messages_each = messages_each
        self._number = 1
        self._rows: list[tuple[int, bytes]] = []
        self._frames = bytearray()
        self._posers: list[Browser] = []

    def add_message(self, browser: Browser, message: bytes) -> bool:
        """Take a message of a browser."""
        self._turn_to(browser)
        if browser.rows >= self._messages_each or len(self._rows) >= TOTAL_MAX:
            return False
        browser.rows += 1
        self._rows.append((browser.conn, message))
        return True

    def add_pose(self, browser: Browser, pose: bytes) -> bool:
        """Take a pose."""
        return self.add_pose_frame(browser, UNMASKED + pose)

    def add_pose_frame(self, browser: Browser, frame: bytes) -> bool:
        """Take a pose as the frame it came in. Beyond POSES_EACH it takes the place of the browser's one before."""
        if browser.batch != self._number:
            self._turn_to(browser)
        if browser.poses >= POSES_EACH:
            self._frames[browser.pose_at : browser.pose_at + FRAME_BYTES] = frame
            return False
        if len(self._posers) >= TOTAL_MAX:
            return False
        browser.poses += 1
        browser.pose_at = len(self._frames)
        self._posers.append(browser)
        self._frames += frame
        return True

    def _turn_to(self, browser: Browser) -> None:
        if browser.batch != self._number:
            browser.batch, browser.rows, browser.poses = self._number, 0, 0

    def take(self) -> FromBrowsers | None:
        """All of it as a message, None if there is nothing; a new batch begins. Browsers learn their newest yaw."""
        if not self._rows and not self._posers:
            return None
        frames = np.frombuffer(self._frames, np.uint8).reshape(-1, FRAME_BYTES)
        poses = frames[:, POSE_AT:] ^ frames[:, MASK_COLUMNS]
        yaws = np.ascontiguousarray(poses[:, YAW]).view("<u2")[:, 0].tolist()
        for browser, yaw in zip(self._posers, yaws, strict=True):
            browser.yaw = yaw
        conns = np.array([browser.conn for browser in self._posers], "<u4")
        message = FromBrowsers(self._rows, conns.tobytes(), poses.tobytes())
        self.forget()
        return message

    def forget(self) -> None:
        """Begin anew."""
        self._number += 1
        self._rows, self._frames, self._posers = [], bytearray(), []
