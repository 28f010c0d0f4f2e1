"""How long hypothesis searches: ``ALKNET_FIREWALL_EXAMPLES`` examples of each property, few by default."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "alknet_firewall",
    max_examples=int(os.environ.get("ALKNET_FIREWALL_EXAMPLES", "30")),
    derandomize="CI" in os.environ,  # the same examples at every run of CI; others look further
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("alknet_firewall")
