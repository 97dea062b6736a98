"""Hosts on this machine: network namespaces, which share nothing but the cables between them. They need root."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from runs import ENVIRONMENT, LLADA

PORT = 29500
# What a rank is told of the interface it should take, if it is told.
INTERFACE = "GLOO_SOCKET_IFNAME"


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


class Host:
    """A host, with the address that others reach it at by the first cable."""

    def __init__(self, number):
        self.number = number
        self.name = f"llada-{os.getpid()}-{number}"
        self.address = f"10.77.0.{number + 1}"

    def plug(self, interface, network):
        """Gives an interface its address in a network, and switches it on."""
        ip("-n", self.name, "address", "add", f"10.77.{network}.{self.number + 1}/24", "dev", interface)
        self.switch(interface, "up")

    def switch(self, interface, state):
        """Switches an interface `up` or `down`: the other end of its cable has no carrier then."""
        ip("-n", self.name, "link", "set", interface, state)

    def sent(self, interface):
        """The bytes that have left by an interface."""
        command = ["ip", "netns", "exec", self.name, "cat", f"/sys/class/net/{interface}/statistics/tx_bytes"]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    @contextlib.contextmanager
    def names(self):
        """The host's own file of the names of hosts, empty at first, which `ip` gives to what it starts there."""
        folder = Path("/etc/netns") / self.name
        folder.mkdir(parents=True)
        file = folder / "hosts"
        file.touch()
        try:
            yield file
        finally:
            shutil.rmtree(folder)

    def start(self, folder, *words, **variables):
        """Starts a rank of `llada pretrain`, of which every host has one. `ip` becomes the process itself."""
        environment = {name: value for name, value in ENVIRONMENT.items() if name != INTERFACE}
        environment |= {"RANK": str(self.number), "WORLD_SIZE": "2", "MASTER_ADDR": "10.77.0.1"}
        environment |= {"MASTER_PORT": str(PORT), **variables}
        command = ["ip", "netns", "exec", self.name, LLADA, "pretrain", "--config", "run.toml", *words]
        return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def two_hosts():
    """Two hosts without a cable, which are gone afterwards with all that runs on them."""
    hosts = [Host(0), Host(1)]
    try:
        for host in hosts:
            ip("netns", "add", host.name)
            host.switch("lo", "up")
        yield hosts
    finally:
        for host in hosts:
            running = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True).stdout.split()
            subprocess.run(["kill", "-KILL", *running], capture_output=True)
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True)


def join(hosts, interface, network):
    """Lays a cable between two hosts."""
    first, second = hosts
    ip("link", "add", interface, "netns", first.name, "type", "veth", "peer", "name", interface, "netns", second.name)
    for host in hosts:
        host.plug(interface, network)


def refusal():
    """Why there can be no hosts here, or None."""
    try:
        with two_hosts() as hosts:
            join(hosts, "cable", 0)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode().strip()
        return f"network namespaces cannot be made here, which needs root and iproute2: {error} {said}"
    return None
