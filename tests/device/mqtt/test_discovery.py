"""Home Assistant's discovery message: its form, and what its templates make of the messages that are sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jinja2 import Environment

from edgedense.device.mqtt.discovery import discovery
from edgedense.device.mqtt.messages import Alert, Report, Status, Topics, encode
from tests.device.mqtt.test_messages import ABOUT, ALERT, REPORT

TOPICS = Topics("farm/barns", "barn-3")
# Keys that Home Assistant requires or allows, by its sources: components/mqtt/schemas.py, sensor.py, binary_sensor.py
# and image.py. It takes no notice of others, so that a typing error would go unseen.
SHARED = {"device", "origin", "components", "availability", "state_topic", "qos"}
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version", "serial_number", "hw_version"}
ENTITY = {
    *("platform", "name", "unique_id", "icon", "entity_category", "device_class", "state_class", "value_template"),
    *("unit_of_measurement", "expire_after", "state_topic", "json_attributes_topic", "image_topic", "content_type"),
}


def made(about: Any = ABOUT, monitors: bool = True, pictures: bool = True) -> tuple[str, dict[str, Any]]:
    topic, message = discovery("homeassistant", TOPICS, about, monitors=monitors, pictures=pictures)
    return topic, json.loads(encode(message))


def state(name: str, payload: Report | Alert, about: Any = ABOUT) -> str:
    """What Home Assistant shows. It renders templates by Jinja, as this does, and takes "None" for unknown."""
    template = made(about)[1]["components"][name]["value_template"]
    return Environment().from_string(template).render(value_json=json.loads(encode(payload)))


def test_the_topic_and_the_form() -> None:
    topic, message = made()
    assert topic == "homeassistant/device/farm_barns_barn-3/config"
    assert set(message) == SHARED
    assert set(message["device"]) <= DEVICE
    assert message["device"]["identifiers"] == ["farm_barns_barn-3"]
    assert message["origin"] == {"name": "edgedense", "sw_version": "0.2.0"}
    assert message["state_topic"] == "farm/barns/barn-3/report"
    for component in message["components"].values():
        assert set(component) <= ENTITY
        assert {"platform", "unique_id", "name"} <= set(component)
    ids = [component["unique_id"] for component in message["components"].values()]
    assert len(set(ids)) == len(ids) == 11


def test_what_there_is_not_is_not_told_of() -> None:
    there = set(made()[1]["components"]) - set(made(monitors=False, pictures=False)[1]["components"])
    assert there == {"drift", "picture"}


def test_whether_it_is_there() -> None:
    (availability,) = made()[1]["availability"]
    assert availability["topic"] == "farm/barns/barn-3/status"
    template = Environment().from_string(availability["value_template"])
    states = [Status("boot", True), Status("boot", False, "connection lost")]
    # "online" and "offline" are what Home Assistant compares with where nothing else is named.
    assert [template.render(value_json=json.loads(encode(one))) for one in states] == ["online", "offline"]


def test_states_of_a_report() -> None:
    shown = {
        name: state(name, REPORT) for name in ("answer", "score", "camera", "drift", "fps", "temperature", "model")
    }
    assert shown == {
        "answer": "cow",
        "score": "98.0",
        "camera": "OFF",
        "drift": "ON",
        "fps": "5.25",
        "temperature": "48.3",
        "model": "0123456789abcdef",
    }
    assert state("camera", replace(REPORT, camera_lost=True)) == "ON"
    assert state("drift", replace(REPORT, moved=())) == "OFF"
    assert state("temperature", replace(REPORT, temperature=None)) == "None"
    assert state("alert", ALERT) == "the pictures got darker"


def test_no_answer() -> None:
    for name in ("answer", "score"):
        assert state(name, replace(REPORT, result=None)) == "None"
    open_ended = replace(REPORT, result={"label": None, "score": None, "top": []})
    assert (state("answer", open_ended), state("score", open_ended)) == ("nothing", "None")


def test_findings() -> None:
    about = replace(ABOUT, decides="each")
    findings = [{"label": "cow", "score": 0.9}, {"label": "pig", "score": 0.8}]
    both = {"label": "cow", "score": 0.9, "findings": findings, "top": findings}
    assert state("answer", replace(REPORT, result=both), about) == "cow, pig"
    none = {"label": None, "score": None, "findings": [], "top": findings}
    assert state("answer", replace(REPORT, result=none), about) == "no finding"
    long = {**both, "findings": [{"label": "x" * 200, "score": 1}] * 2}
    assert len(state("answer", replace(REPORT, result=long), about)) == 255


@pytest.mark.parametrize("label", ["age", "bone age", 'l\'âge "x" }}'])
def test_values(label: str) -> None:
    about = replace(ABOUT, decides="values", unit="months", labels=(label, "size"))
    report = replace(REPORT, result={"values": {label: 127.3, "size": None}, "unit": "months"})
    assert (state("value_0", report, about), state("value_1", report, about)) == ("127.3", "None")
    component = made(about)[1]["components"]["value_0"]
    assert (component["name"], component["unit_of_measurement"]) == (label, "months")
    assert state("value_0", replace(REPORT, result=None), about) == "None"
