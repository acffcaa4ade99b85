"""Hybrid systems run with their files, drawn and filmed."""

from __future__ import annotations

import json
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from command import Haltere

from haltere.policies.errors import ConfigError
from haltere.policies.zoo.shipped import CAR, WALKER
from haltere.sim.film import Film, ball, box, turned, write_film


def rolling() -> Film:
    time_s = np.linspace(0.0, 0.5, 51)
    position = np.stack([2 * time_s, 0 * time_s, 0.2 + 0 * time_s], 1)
    floor = box((3.0, 1.0, 0.05), (0.6, 0.6, 0.6), np.array([0.0, 0.0, -0.05]), turned(2, np.array(0.3)))
    return Film(time_s, [floor, ball(0.2, (0.9, 0.2, 0.1), position)], np.zeros((51, 3)), 4.0, -1.5, 0.4)


def test_what_moves_is_seen_to_move(tmp_path: Path) -> None:
    told = []
    write_film(rolling(), tmp_path / "film.mp4", 160, 160, status=lambda done, total: told.append((done, total)))
    frames = imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    size = next(frames)["size"]
    pictures = [np.frombuffer(frame, np.uint8).reshape(*size[::-1], 3).astype(float) for frame in frames]
    assert len(pictures) == len(told) == told[-1][1]
    red = [(picture[..., 0] - picture[..., 2]).clip(60) - 60 for picture in pictures]
    column = [float((part.sum(0) * np.arange(160)).sum() / part.sum()) for part in red]
    assert column[-1] > column[0] + 20
    with pytest.raises(ConfigError, match="there is no folder"):
        write_film(rolling(), tmp_path / "nowhere" / "film.mp4")


def test_what_is_not_there_is_said(haltere: Haltere, tmp_path: Path) -> None:
    found = haltere("run", "car", "--number", "25", "--output", str(tmp_path / "run"))
    assert found.returncode == 2
    assert "there are 25" in found.stderr
    found = haltere("run", "car", "--policy", str(WALKER), "--output", str(tmp_path / "run"))
    assert "is of the walker" in found.stderr
    found = haltere("run", "walker", "--planner", str(CAR), "--output", str(tmp_path / "run"))
    assert "--planner is for the car" in found.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["car", "pogobot", "walker"])
def test_each_comes_to_its_goal(haltere: Haltere, system: str, tmp_path: Path) -> None:
    film = ["--video"] if system == "walker" else []
    found = haltere("run", system, "--policy", str(CAR.with_name(f"{system}.onnx")), "--output", str(tmp_path), *film)
    assert found.returncode == 0, found.stderr
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["reached"]
    assert 0 < told["switches_inside"] <= told["switches"]
    assert (tmp_path / "run.png").stat().st_size > 20_000
    if film:
        _, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "run.mp4"))
        assert seconds == pytest.approx(told["time_s"], abs=0.2)
