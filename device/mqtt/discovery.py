"""What Home Assistant is told, so that a device appears there by itself: one message with all that it measures.

The format is that of its MQTT integration, "Device discovery payload", which Home Assistant knows since 2024.11.
"""

from __future__ import annotations

import re
from typing import Any

from edgedense.device.mqtt.messages import About, Topics

PREFIX = "homeassistant"  # of the topics where it looks, unless it was told otherwise
_LONGEST = 255  # characters of a state
_MISSED = 3  # reports in a row without which a value is unknown
_LABEL = "value_json.result.label or 'nothing'"
_FINDINGS = "value_json.result.findings | map(attribute='label') | join(', ') or 'no finding'"
_SCORED = "value_json.result and value_json.result.score is number"
_SCORE = f"(value_json.result.score * 100) | round(1) if {_SCORED} else None"
_DIAGNOSTIC = {"entity_category": "diagnostic"}
_PROBLEM = {"platform": "binary_sensor", "device_class": "problem"}


def discovery(
    prefix: str, topics: Topics, about: About, *, monitors: bool, pictures: bool
) -> tuple[str, dict[str, Any]]:
    """(the topic, the message) of the device. `prefix` is Home Assistant's; `monitors` and `pictures` say that there is
    a monitor, and that pictures are sent."""
    identity = re.sub(r"[^A-Za-z0-9_-]", "_", f"{topics.prefix}_{topics.device}")
    components = {**(_values(about) if about.decides == "values" else _answer(about)), **_state(monitors)}
    components |= {name: {**one, "expire_after": _expiry(about)} for name, one in components.items()}
    components |= {"alert": _alert(topics), **({"picture": _picture(topics)} if pictures else {})}
    return f"{prefix}/device/{identity}/config", {
        "device": {
            "identifiers": [identity],
            "name": topics.device,
            "model": about.board,
            "sw_version": f"edgedense {about.version}, {about.model}",
        },
        "origin": {"name": "edgedense", "sw_version": about.version},
        "availability": [{"topic": topics.of("status"), "value_template": "{{ value_json.state }}"}],
        "state_topic": topics.of("report"),
        "qos": 1,
        "components": {name: {**one, "unique_id": f"{identity}_{name}"} for name, one in components.items()},
    }


def _answer(about: About) -> dict[str, dict[str, Any]]:
    said = f"({_FINDINGS if about.decides == 'each' else _LABEL})[:{_LONGEST}]"
    answer = {"platform": "sensor", "name": "Answer", "icon": "mdi:eye"}
    return {
        "answer": {**answer, "value_template": f"{{{{ {said} if value_json.result else None }}}}"},
        "score": _figure("Score", _SCORE, unit_of_measurement="%"),
    }


def _values(about: About) -> dict[str, dict[str, Any]]:
    """A number for each value. Its name stands in the template as a text of Jinja's."""
    unit = {"unit_of_measurement": about.unit} if about.unit else {}
    value = "value_json.result['values'][{!r}] if value_json.result else None"
    return {f"value_{i}": _figure(label, value.format(label), **unit) for i, label in enumerate(about.labels)}


def _state(monitors: bool) -> dict[str, dict[str, Any]]:
    """How the device does."""
    drift = {**_PROBLEM, "name": "Drift", "value_template": "{{ 'ON' if value_json.moved else 'OFF' }}"}
    return {
        "camera": {
            **_PROBLEM,
            "name": "Camera lost",
            "value_template": "{{ 'ON' if value_json.camera_lost else 'OFF' }}",
        },
        **({"drift": drift} if monitors else {}),
        "fps": _figure("Frames per second", "value_json.fps", unit_of_measurement="fps", **_DIAGNOSTIC),
        "latency": _figure(
            "Inference", "value_json.latency_ms", unit_of_measurement="ms", device_class="duration", **_DIAGNOSTIC
        ),
        "temperature": _figure(
            "Temperature", "value_json.temperature", unit_of_measurement="°C", device_class="temperature", **_DIAGNOSTIC
        ),
        "waiting": _figure("Messages waiting", "value_json.waiting", **_DIAGNOSTIC),
        "model": {"platform": "sensor", "name": "Model", "value_template": "{{ value_json.model }}", **_DIAGNOSTIC},
    }


def _figure(name: str, value: str, **more: str) -> dict[str, Any]:
    """A sensor whose values Home Assistant keeps statistics of."""
    figure = {"platform": "sensor", "name": name, "state_class": "measurement"}
    return {**figure, "value_template": f"{{{{ {value} }}}}", **more}


def _alert(topics: Topics) -> dict[str, Any]:
    """The last alert: it does not expire."""
    return {
        "platform": "sensor",
        "name": "Last alert",
        "icon": "mdi:alert",
        "state_topic": topics.of("alert"),
        "value_template": f"{{{{ value_json.said[:{_LONGEST}] }}}}",
        "json_attributes_topic": topics.of("alert"),
    }


def _picture(topics: Topics) -> dict[str, Any]:
    return {"platform": "image", "name": "Picture", "image_topic": topics.of("picture"), "content_type": "image/jpeg"}


def _expiry(about: About) -> int:
    """Seconds."""
    return int(_MISSED * about.every) + 30
