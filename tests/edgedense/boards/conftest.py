"""The devices on the loopback that deployments are tested with."""

from tests.edgedense.rollout.conftest import fleet, servers, wanted, wheel

__all__ = ["fleet", "servers", "wanted", "wheel"]
