"""What a device tells over MQTT, the message queue that sensors and home automation speak.

`messages` says what is sent, and under which topics: open that first.
"""
