"""Protocols by name, and the networks they load."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.evaluation import METRIC_NAMES, PROTOCOLS, build_metrics, get_protocol
from graphcond.evaluation.targets import draw_settings
from tests.evaluation.doubles import READER


def test_instructg2i_is_that_of_the_release() -> None:
    protocol = get_protocol("instructg2i")
    assert (protocol.samples, protocol.resolution, protocol.steps, protocol.neighbors) == (1000, 256, 100, 5)
    assert (protocol.clip, protocol.dino) == ("openai/clip-vit-large-patch14", "facebook/dinov2-large")
    joint = protocol.guidances["joint"]
    assert (joint.mode, joint.text) == ("joint", 7.5)
    assert {"clip_i", "dino_i", "fid"} <= set(protocol.metrics)


def test_every_protocol_is_complete() -> None:
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert set(protocol.metrics) <= set(METRIC_NAMES)
        assert protocol.guidances
        given = [guidance for guidance in protocol.guidances.values() if guidance is not None]
        assert all(len(guidance.graphs) == 1 for guidance in given)


def test_scenes_are_drawn_with_the_recipes_own_scales() -> None:
    protocol = get_protocol("scenes")
    assert (protocol.guidances["recipe"], protocol.neighbors) == (None, 0)
    settings = draw_settings(protocol, None)
    assert (settings.steps, settings.text_scale, settings.graph_scale) == (8, None, None)
    paper = draw_settings(get_protocol("instructg2i"), get_protocol("instructg2i").guidances["joint"])
    assert (paper.steps, paper.text_scale, paper.graph_scale, paper.mode) == (100, 7.5, 1.0, "joint")


def test_protocols_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        get_protocol("art").steps = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        PROTOCOLS["art"] = get_protocol("art")  # type: ignore[index]


def test_misspelled_protocols_get_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"no protocol 'instructg2'\. Did you mean 'instructg2i'"):
        get_protocol("instructg2")


def test_only_the_needed_networks_are_loaded(clip_folder: Path, dino_folder: Path) -> None:
    art = replace(get_protocol("art"), clip=str(clip_folder), dino=str(dino_folder))
    networks = art.load_networks(oracle=READER)
    assert networks.distribution is networks.clip
    assert networks.dino is None
    assert len(build_metrics(art.metrics, networks)) == len(art.metrics)
    networks = art.load_networks(metrics=("dino_i",))
    assert networks.clip is None
    assert networks.dino is not None
    assert networks.dino.width == 32
    assert art.load_networks(metrics=("kid",)).distribution is not None
    assert art.load_networks(metrics=("style_accuracy",)).clip is None


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    protocol = replace(get_protocol("instructg2i"), clip=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere: cannot load a CLIPModel"):
        protocol.load_networks(metrics=("clip_i",))
    with pytest.raises(InputError, match="no metric 'clip'"):
        protocol.load_networks(metrics=("clip",))
