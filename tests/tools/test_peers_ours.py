"""Asclepion among its peers: what its clients are made to send, and what the judge makes of what they saw."""

from pathlib import Path

import numpy as np
import pytest

from server.net.messages import encoder, server_decoder
from server.sim.frame import write_frame
from server.sim.rows import BIAS, COLUMNS
from server.sim.snapshot import View, delta_body, keyframe_body
from server.views import Views
from server.world.events import Person, PersonCame
from server.world.rooms import load_rooms
from tools.peers import interest, ours, ours_seen
from tools.peers.entrants import Load
from tools.peers.motion import step_of, wire_poses
from tools.peers.ours_seen import ACK, POSED, Eyes
from tools.peers.plan import SENT_RING, Counted, Found

SLOT, CLIENT = 9, 4
NO_THINGS = np.zeros((0, 8), np.int64)


def found_of(sent_us: np.ndarray) -> Found:
    counted = Counted(clients=len(sent_us), ready=0, closed=0, seconds=1.0, views=0, fewest_views=0, bytes=0, poses=0,
                      blocked=0, late_p50_ms=0.0, late_p99_ms=0.0, cpu_s=0.0, born_ns=1000, failure="",
                      start_ns=0, end_ns=1 << 62)  # fmt: skip
    return Found(counted, Path(), sent_us)


def row_of(seq: int, client: int = CLIENT) -> np.ndarray:
    """What a row of this client shows when it has taken in its pose `seq`."""
    row = np.zeros((1, COLUMNS), np.int64)
    pose = wire_poses()[step_of(np.array([client]), np.array([seq]))]
    row[0, 0], row[0, ACK] = SLOT, seq & 0xFF
    for name, column, width in POSED:
        row[0, column : column + width] = pose[name].reshape(-1) + BIAS[column : column + width]
    return row


def test_the_whole_number_of_a_pose_is_found_from_its_low_byte():
    sent_us = np.zeros((1, SENT_RING), np.uint32)
    sent_us[0, 1:601] = np.arange(1, 601) * 50_000
    found = found_of(sent_us)
    for seq, seen_after in ((1, 0), (255, 3), (256, 10), (600, 0), (300, 200)):
        at = np.array([(seq + seen_after) * 50_000_000 + 2000 + 1000])
        got = ours_seen.seq_of(found, np.array([0]), at, np.array([seq & 0xFF]))
        assert got.tolist() == [seq]
    early = ours_seen.seq_of(found, np.array([0]), np.array([10]), np.array([0]))
    assert early.tolist() == [0]


def test_rows_of_poses_as_sent_are_right_and_any_other_is_wrong():
    two, wire = np.zeros(2, np.int64), np.concatenate([row_of(76), row_of(77)])
    rows = ours_seen.Rows(two, two + 5, two + CLIENT, np.array([76, 77]), wire)
    assert ours_seen.wrong_poses(rows) == 0
    for _, column, _ in POSED:
        other = rows.wire.copy()
        other[1, column] += 1
        assert ours_seen.wrong_poses(rows._replace(wire=other)) == 1
    assert ours_seen.wrong_poses(rows._replace(id=np.array([CLIENT, -1]))) == 1


def test_a_hand_may_be_on_its_way_after_a_pause_but_nothing_else_may():
    two = np.zeros(2, np.int64)
    rows = ours_seen.Rows(two, two + 5, two + CLIENT, np.array([60, 77]), np.concatenate([row_of(60), row_of(77)]))
    assert ours_seen.strides(rows).tolist()[1] == 17
    for name, column, _ in POSED:
        other = rows.wire.copy()
        other[1, column] += 1
        assert ours_seen.wrong_poses(rows._replace(wire=other)) == (name not in ours_seen.MOVED)


def test_a_viewer_knows_people_by_slot_and_follows_deltas_of_each_block():
    eyes = Eyes(0)
    came = encoder.encode(PersonCame(Person((3 << 12) | SLOT, f"Bot {CLIENT}", "clinician", bytes(16))))
    assert server_decoder.decode(came) and eyes.take(1, came) is None
    first, second = View(2, 100, row_of(77), NO_THINGS), View(2, 103, row_of(80), NO_THINGS)
    key, delta = keyframe_body(first), delta_body(second, first)
    lost = eyes.take(2, write_frame(2, 99, 0, [(0, delta)]))
    assert lost is not None and lost.near == {}
    eyes.take(3, write_frame(2, 100, 0, [(0, key)]))
    look = eyes.take(4, write_frame(2, 103, 0, [(0, delta)]))
    assert look is not None and np.array_equal(look.near[0].rows, second.rows)
    assert look.clients[SLOT] == CLIENT
    held = eyes.take(5, write_frame(2, 104, 0, [(0, b"")]))
    assert held is not None and np.array_equal(held.near[0].rows, second.rows)
    rows = ours_seen.rows_of([look, held], found_of(np.zeros((8, SENT_RING), np.uint32)))
    assert rows.id.tolist() == [CLIENT, CLIENT]


@pytest.mark.parametrize("load", [Load(40, 20, 1, 1), Load(100, 100, 1, 1), Load(300, 300, 1, 1)])
def test_the_houses_of_a_comparison_are_rooms_the_server_takes(load, tmp_path):
    slugs = ours.write_house(tmp_path / "rooms", load)
    rooms = load_rooms(tmp_path / "rooms")
    assert [room.slug for room in rooms] == slugs and len(rooms) == load.clients // load.room
    assert all(room.capacity >= load.room for room in rooms)


def test_everybody_in_the_scene_of_interest_is_seen_by_their_neighbours_and_by_themselves():
    scene = interest.Scene()
    for _ in range(3):
        scene.step()
    sees, rows = scene.sees(), scene.rows()
    assert sees.diagonal().all() and (sees == sees.T).all()
    assert 40 <= sees.sum(axis=1).mean() <= 80
    apart = np.abs(rows["values"][:, None, (0, 2)] - rows["values"][None, :, (0, 2)]).max(axis=2)
    assert sees[apart < 2.0].mean() > 0.9 and not sees[apart > 12.0].any()
    cost, size = interest.our_tick(scene, Views(10, 10))
    assert cost > 0 and size > interest.PEOPLE * 60 * 5
