"""A bad line between two hosts: every packet arrives later, and some do not. Kernels may lack netem, and all have TAP."""

import collections
import fcntl
import os
import random
import select
import struct
import threading
import time

from hosts import ip

# From linux/if_tun.h.
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000


class Line:
    """A cable `cable` of which this process is the middle. Packets in each direction keep their order."""

    def __init__(self, hosts, delay, loss, seed):
        self.delay, self.loss, self.draw = delay, loss, random.Random(seed)
        self.packets = self.lost = 0
        self.ends = []
        for host in hosts:
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            name = f"tap-{host.number}"
            fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
            ip("link", "set", name, "netns", host.name)
            ip("-n", host.name, "link", "set", name, "name", "cable")
            host.plug("cable", 0)
            self.ends.append(tap)
        self.is_done = threading.Event()
        self.thread = threading.Thread(target=self.carry)

    def carry(self):
        """Carries packets from end to end until it is enough."""
        under_way = collections.deque()
        while not self.is_done.is_set():
            wait = max(0, under_way[0][0] - time.monotonic()) if under_way else 0.1
            ready, _, _ = select.select(self.ends, [], [], wait)
            for tap in ready:
                packet = os.read(tap, 65536)
                self.packets += 1
                if self.draw.random() < self.loss:
                    self.lost += 1
                else:
                    other = self.ends[1 - self.ends.index(tap)]
                    under_way.append((time.monotonic() + self.delay, other, packet))
            while under_way and under_way[0][0] <= time.monotonic():
                _, tap, packet = under_way.popleft()
                os.write(tap, packet)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_done.set()
        self.thread.join()
        for tap in self.ends:
            os.close(tap)
