"""Which hosts are near, so that a secret in the clear does not leave this machine or the cluster."""

from __future__ import annotations

import ipaddress


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_in_cluster(host: str) -> bool:
    """Whether a host is a service of the cluster that the caller runs in, by its name in Kubernetes' DNS."""
    return host.endswith((".svc", ".svc.cluster.local"))


def is_near(host: str) -> bool:
    """This machine, or a service of the cluster."""
    return is_here(host) or is_in_cluster(host)
