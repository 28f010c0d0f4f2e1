"""``python -m alknet_firewall``."""

from alknet_firewall.cli import main

main()
