"""Picture, camera, and video: the files are there, and they show what was flown."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from haltere.policies.errors import ConfigError
from haltere.sim.camera import Camera, camera_on
from haltere.sim.model import Model
from haltere.sim.picture import write_picture
from haltere.sim.recorder import Recorder
from haltere.sim.trajectory import make_trajectory
from haltere.sim.vehicle import load_vehicle
from haltere.sim.video import write_video
from haltere.sim.world import World, WorldConfig

FLOWN, REFERENCE = (230, 95, 25), (70, 110, 190)
SLOW_SHADE, SAFE_SHADE = (249, 232, 191), (247, 204, 204)


def count(image, color):
    """How many pixels have about this colour."""
    return int((np.abs(image - color).max(axis=-1) < 6).sum())


@pytest.fixture(scope="module")
def flight():
    """A vehicle that is let drift for 2 s beside a figure-eight."""
    vehicle, eight = load_vehicle("racer250"), make_trajectory("figure-eight")
    recorder = Recorder(vehicle=vehicle.name)
    with World(vehicle, WorldConfig()) as world:
        world.reset(velocity_world_m_s=(0.3, 0.2, 0.0))
        for tick in range(200):
            mode = "SLOW" if 60 <= tick < 90 else "SAFE" if 90 <= tick < 110 else "FAST"
            action = np.full(4, vehicle.hover_action)
            recorder.record(world.state(), eight.at(world.time_s), action, mode, 0.002 if tick % 3 else None)
            world.step(action)
    return recorder.flight()


def test_picture_shows_path_and_modes(flight, tmp_path):
    write_picture(flight, tmp_path / "flight.png")
    image = np.asarray(Image.open(tmp_path / "flight.png").convert("RGB")).astype(int)
    assert min(image.shape[:2]) > 700
    for color, pixels in ((FLOWN, 500), (REFERENCE, 500), (SLOW_SHADE, 5000), (SAFE_SHADE, 5000)):
        assert count(image, color) > pixels, color
    write_picture(flight, tmp_path / "flight.svg", title="a title of my own")
    assert "svg" in (tmp_path / "flight.svg").read_text(encoding="utf-8")[:400]


def test_picture_of_fast_only_has_no_shade(tmp_path):
    fast = Recorder(vehicle="x")
    with World(load_vehicle("racer250")) as world:
        for _ in range(20):
            fast.record(world.state(), make_trajectory("hover").at(0), np.zeros(4))
            world.step(None)
    write_picture(fast.flight(), tmp_path / "fast.png")
    image = np.asarray(Image.open(tmp_path / "fast.png").convert("RGB")).astype(int)
    assert count(image, FLOWN) > 100
    assert count(image, SLOW_SHADE) + count(image, SAFE_SHADE) < 200


def test_camera_has_all_points_in_its_picture():
    generator = np.random.default_rng(0)
    points = generator.uniform(-1, 1, (50, 3)) * (3, 1, 0.5) + (0, 0, 1)
    camera = camera_on(points, 640, 480)
    pixel, depth = camera.project(points)
    assert np.all(depth > 0)
    assert np.all((pixel > 0) & (pixel < (640, 480)))
    middle, _ = camera.project(np.array([camera.target_world_m]))
    assert middle[0] == pytest.approx([320, 240])
    level = Camera((0.0, 0.0, 1.0), 3.0, azimuth_rad=np.pi, elevation_rad=0.0)
    left, up = level.project(np.array([[0, 0.5, 1], [0, 0, 1.5]]))[0]
    assert left[0] < 384
    assert left[1] == pytest.approx(288)
    assert up[0] == pytest.approx(384)
    assert up[1] < 288


def test_model_is_drawn_where_the_camera_sees_it_and_shows_its_attitude():
    camera = Camera((0.0, 0.0, 1.0), 3.0, azimuth_rad=np.pi, elevation_rad=0.3)
    with Model(load_vehicle("x500")) as model:
        shape = []
        for quat in ([1.0, 0, 0, 0], [np.cos(0.4), np.sin(0.4), 0, 0]):
            picture, corner = model.cutout(camera, np.array([0.0, 0.5, 1.2]), np.array(quat), np.zeros(4))
            solid = np.asarray(picture)[..., 3] > 128
            rows, columns = np.nonzero(solid)
            expected = camera.project(np.array([[0.0, 0.5, 1.2]]))[0][0]
            at = np.array([columns.mean() + corner[0], rows.mean() + corner[1]])
            assert at == pytest.approx(expected, abs=8)
            shape.append(np.ptp(rows))
        assert shape[1] > 1.3 * shape[0]
        assert model.cutout(camera, np.array([-50.0, 0, 1]), np.array([1.0, 0, 0, 0]), np.zeros(4)) is None


def test_video_is_real_time_and_moves(flight, tmp_path):
    path = tmp_path / "flight.mp4"
    write_video(flight, load_vehicle("racer250"), path, width=480, height=368)
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert frames == pytest.approx(50, abs=1)
    assert seconds == pytest.approx(2.0, abs=0.1)
    reader = imageio_ffmpeg.read_frames(str(path))
    size = next(reader)["size"]
    images = [np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3).astype(int) for data in reader]
    assert size == (480, 368)
    assert (np.abs(images[0] - images[-1]).max(axis=-1) > 60).sum() > 300
    orange = [(i[..., 0] > 150) & (i[..., 2] < 110) & (i[..., 1] < 150) for i in images]
    assert min(o.sum() for o in orange) > 50
    version = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True)
    assert "h264" in version.stderr
    assert "yuv420p" in version.stderr


def test_what_cannot_be_drawn_says_so(flight, tmp_path):
    vehicle = load_vehicle("racer250")
    empty = Recorder(vehicle="x").flight()
    for write in (lambda f, p: write_picture(f, p), lambda f, p: write_video(f, vehicle, p)):
        with pytest.raises(ConfigError, match="0 rows"):
            write(empty, tmp_path / "empty.mp4")
        with pytest.raises(ConfigError, match="cannot be written"):
            write(flight, tmp_path / "no folder" / "x.png")
    with pytest.raises(ConfigError, match="multiples of 16"):
        write_video(flight, vehicle, tmp_path / "x.mp4", width=500)
