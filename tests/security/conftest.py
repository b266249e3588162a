"""The same upstream and gateway as those of the gateway's own tests, started for these."""

from __future__ import annotations

from tests.gateway.access.conftest import _locked, locked
from tests.gateway.conftest import _gateway, _upstream, client, gateway, upstream

__all__ = ["_gateway", "_locked", "_upstream", "client", "gateway", "locked", "upstream"]
