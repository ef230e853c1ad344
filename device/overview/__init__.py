"""A fleet seen from one place: what its devices said over MQTT, as a table, as a page, and as a history.

`state` makes the state of a device out of its messages: open that first. `watch` puts the parts together.
"""
