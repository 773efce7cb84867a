"""Choosing pairs, finding stray cameras, gaps around a scene, and the upright frame: without COLMAP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import PointCloud
from engine.core.protocol.sfm_options import PosesOptions
from engine.sfm.consistency import MatchedPair, components, inconsistent_cameras
from engine.sfm.exchange import ImageOutcome, Link, Outcome
from engine.sfm.matching import chosen
from engine.sfm.pairing import STRONGEST, all_pairs, lookalikes, neighbours, similarity
from engine.sfm.photo_gaps import gaps_and_advice, goes_around, largest_gap, weakest_bridge
from engine.sfm.photos import natural
from engine.sfm.poses import is_series
from engine.sfm.search import MOST_AGAIN, worth_another
from engine.sfm.upright import Similarity, upright
from tests.scenes import look_at, ring_cameras


@pytest.mark.parametrize(("count", "ordered", "expected"), [
    (5, True, "exhaustive"), (24, False, "exhaustive"), (97, True, "sequential"), (97, False, "similar"), (2000, False, "similar"),
])
def test_pairs_are_chosen_by_count_and_order(count: int, ordered: bool, expected: str) -> None:
    assert chosen("auto", count, ordered) == expected
    assert chosen("exhaustive", count, ordered) == "exhaustive"


@given(st.integers(2, 150))
def test_neighbours_hold_a_series_together_at_a_cost_that_grows_with_its_length(count: int) -> None:
    pairs = neighbours(count)
    assert {(index, index + 1) for index in range(count - 1)} <= pairs <= set(all_pairs(count))
    assert len(pairs) <= 11 * count


def test_look_alikes_share_most_features() -> None:
    rng = np.random.default_rng(1)
    world = rng.integers(0, 256, (900, 128), np.uint8)  # photo k sees features 100 k to 100 k + 300
    photos = [world[100 * k : 100 * k + STRONGEST] for k in range(7)]
    table = similarity(photos)
    assert np.array_equal(table, table.T) and table[0, 1] == 200 and table[0, 2] == 100 and table[0, 6] < 5
    assert lookalikes(table, 1) <= {(k, k + 1) for k in range(6)}
    assert similarity([world[:0], world[:5]])[0, 1] == 0


@pytest.mark.parametrize(("names", "expected"), [
    (["IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg", "IMG_10.jpg"], False), (["frame_001.jpg", "frame_002.jpg", "frame_003.jpg"], True),
    (["20240212_003919.jpg", "20240212_003920.jpg", "20240212_003922.jpg"], True), (["a.jpg", "b.jpg"], False), (["1.jpg"], False),
    (["walk1.jpg", "photo2.jpg", "roof.jpg"], False),
])
def test_a_series_counts_up(names: list[str], expected: bool) -> None:
    assert is_series(names) is expected


def test_names_are_sorted_as_people_count() -> None:
    assert sorted(["b2", "b10", "B1", "a"], key=natural) == ["a", "B1", "b2", "b10"]


def matched_pairs(cameras: list[Camera], seen_from: list[Camera]) -> list[MatchedPair]:
    """Matches as `seen_from` make them, beside the poses in `cameras`."""
    points = np.random.default_rng(2).uniform(-1, 1, (60, 3))
    found = []
    for a, b in all_pairs(len(cameras)):
        rays = [(seen_from[k].viewmat @ np.column_stack([points, np.ones(60)]).T).T[:, :3] for k in (a, b)]
        relative = (cameras[b].viewmat @ np.linalg.inv(cameras[a].viewmat))[:3]
        found.append(MatchedPair(str(a), str(b), relative, (rays[0][:, :2] / rays[0][:, 2:], rays[1][:, :2] / rays[1][:, 2:])))
    return found


def test_a_camera_that_contradicts_its_matches_is_found() -> None:
    true = ring_cameras(6)
    names = [str(number) for number in range(6)]
    assert inconsistent_cameras(names, matched_pairs(true, true)) == set()
    wrong = [*true[:5], replace(true[5], camera_to_world=look_at(np.array([1.0, -3.0, 2.5])))]
    assert inconsistent_cameras(names, matched_pairs(wrong, true)) == {"5"}


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda tie: tie[0] != tie[1])))
def test_groups_are_what_ties_hold_together(ties: set[tuple[int, int]]) -> None:
    names = [str(number) for number in range(10)]
    groups = components(names, [(str(a), str(b)) for a, b in ties])
    assert sorted(name for group in groups for name in group) == names
    assert [len(group) for group in groups] == sorted((len(group) for group in groups), reverse=True)
    assert all(any({str(a), str(b)} <= group for group in groups) for a, b in ties)
    assert len(groups) >= 10 - len(ties)


def test_the_gap_is_where_the_photos_are_missing() -> None:
    cameras = {f"p{number}": camera for number, camera in enumerate(ring_cameras(24)) if not 5 <= number <= 10}
    gap, advice = gaps_and_advice(cameras, [])
    assert gap and (gap.first, gap.second) == ("p4", "p11") and gap.degrees == pytest.approx(7 * 15, abs=2)
    assert any("p4 and p11" in sentence and "6 photos" in sentence for sentence in advice)
    gap, advice = gaps_and_advice({f"p{number}": camera for number, camera in enumerate(ring_cameras(24))}, [])
    assert gap is None and not advice


def test_an_arc_is_told_as_one_side_and_one_height_as_such() -> None:
    places = [4 * np.array([np.cos(a), np.sin(a), 0.2]) for a in np.linspace(0, 2, 9)]
    cameras = {f"p{number}": Camera(64, 64, 90, 90, 32, 32, look_at(place)) for number, place in enumerate(places)}
    gap, advice = gaps_and_advice(cameras, [])
    assert gap and "from one side" in advice[0] and "same height" in advice[1]
    outward = {name: replace(camera, camera_to_world=look_at(camera.position, 3 * camera.position)) for name, camera in cameras.items()}
    assert not goes_around(list(outward.values())) and gaps_and_advice(outward, []) == (None, [])


@given(st.lists(st.floats(0, 359.9), min_size=2, max_size=20))
def test_no_gap_is_larger_than_the_largest(angles: list[float]) -> None:
    names = [str(number) for number in range(len(angles))]
    gap = largest_gap(names, np.array(angles))
    assert 360 / len(angles) - 1e-6 <= gap.degrees <= 360 + 1e-6
    inside = [(angle - gap.start) % 360 for angle in angles]
    assert all(angle < 1e-6 or angle > gap.degrees - 1e-6 for angle in inside)


def test_the_weakest_tie_that_the_scene_hangs_on_is_named() -> None:
    links = [("a", "b", 300), ("b", "c", 250), ("d", "e", 400), ("c", "d", 31), ("a", "d", 20)]
    assert weakest_bridge(list("abcde"), links) == ("c", "d", 31)
    cameras = dict(zip("abcde", ring_cameras(5), strict=True))
    assert any("31 points that c and d share" in sentence for sentence in gaps_and_advice(cameras, links)[1])


@given(st.integers(0, 10_000))
def test_any_frame_becomes_upright_and_keeps_what_cameras_see(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = Similarity(float(rng.uniform(0.01, 100)), Rotation.random(random_state=seed).as_matrix(), rng.normal(0, 5, 3))
    points = rng.uniform(-1, 1, (50, 3))
    cameras = [turn.camera(camera) for camera in ring_cameras(9)]
    cloud = PointCloud(turn.points(points).astype(np.float32), np.zeros((50, 3), np.uint8))
    frame = upright(cameras, cloud)
    stood = [frame.camera(camera) for camera in cameras]
    assert np.mean([camera.camera_to_world[2, 1] for camera in stood]) > 0.8
    for before, after in zip(ring_cameras(9), stood, strict=True):
        seen = after.project(frame.points(turn.points(points)))[0]
        assert np.allclose(seen, before.project(points)[0], atol=1e-3)


def outcome(count: int, *left: int) -> Outcome:
    """So many photos; the named ones have no place and as many features as given."""
    images = [ImageOutcome(str(number), 900, True, 500, False) for number in range(count - len(left))]
    images += [ImageOutcome(f"left {number}", features, False, 0, False) for number, features in enumerate(left)]
    return Outcome(tuple(images), (Link("0", "1", 50),), 0.5, (None,))


def test_a_thorough_search_comes_where_it_may_help() -> None:
    assert worth_another(outcome(20, 800)) and not worth_another(outcome(20)) and not worth_another(outcome(20, 3))
    assert not worth_another(outcome(MOST_AGAIN + 1, 800))
    assert PosesOptions().features == "auto"
