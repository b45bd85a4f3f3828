"""The ground that the faults happen on: network namespaces, programs in them, delay, a name server.

No namespace has a name: each ends with the last process in it, and every program started here is
killed by the system when this one ends, however it ends. So nothing stays behind.
"""

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
import lab  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NETWORK, NEW_MOUNTS = 0x40000000, 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
ETHERTYPE_IP = 0x0800
NAME_SERVER = "127.0.0.53"


def call(what, result):
    if result:
        number = ctypes.get_errno()
        raise lab.Trouble(f"{what}: {os.strerror(number)}")


def enter_new(kind):
    call("unshare", LIBC.unshare(kind))


def enter(namespace):
    call("setns", LIBC.setns(namespace, NEW_NETWORK))


class Program:
    """A program, perhaps in a namespace of its own; ended with us."""

    living = []

    def __init__(self, name, arguments, namespace=None, prepare=None):
        self.name = name
        self.output = tempfile.TemporaryFile()

        def before():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if namespace is not None:
                enter(namespace)
            if prepare:
                prepare()

        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
            preexec_fn=before,
        )
        Program.living.append(self)

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="replace")

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.output.close()
        if self in Program.living:
            Program.living.remove(self)


class Place:
    """A namespace with one way out: where a backend lives."""

    def __init__(self, number, outside):
        self.number = number
        third, fourth = number // 60, number % 60 * 4
        self.outer, self.address = f"10.77.{third}.{fourth + 1}", f"10.77.{third}.{fourth + 2}"
        self.link = f"way{number}"
        self.mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        enter_new(NEW_NETWORK)
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        enter(outside)
        self.faulty = False

    def outside(self):
        """The commands that lay the way, for `ip -batch` outside."""
        path = f"/proc/{os.getpid()}/fd/{self.namespace}"
        return (
            f"link add {self.link} type veth peer name way address {self.mac} netns {path}\n"
            f"addr add {self.outer}/30 dev {self.link}\nlink set {self.link} up\n"
        )

    def inside(self):
        return (
            f"link set lo up\naddr add {self.address}/30 dev way\nlink set way up\n"
            f"route add default via {self.outer}\n"
        )

    async def run(self, *arguments):
        """A command in here."""
        process = await asyncio.create_subprocess_exec(
            *arguments, preexec_fn=lambda: enter(self.namespace),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise lab.Trouble(f"{' '.join(arguments)}: {output.decode(errors='replace').strip()}")

    async def filter(self, *rule):
        self.faulty = True
        await self.run("iptables", "-w", "-A", *rule)


class Ground:
    """One namespace for the balancer, its clients and this script, one for each backend."""

    def __init__(self, count):
        if os.geteuid():
            raise lab.Trouble("needs root: it makes network namespaces")
        for program in ("ip", "iptables", "openssl"):
            if not lab.find(program):
                raise lab.Trouble(f"{program} is not installed")
        enter_new(NEW_NETWORK)
        here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.folder = tempfile.TemporaryDirectory(prefix="accuracy-")
        self.places = [Place(number, here) for number in range(count)]
        batch("link set lo up\n" + "".join(place.outside() for place in self.places))
        for place in self.places:
            batch(place.inside(), place.namespace)
        self.delay = None

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    async def reset(self):
        """Every program ended, every fault of the network undone."""
        for program in list(Program.living):
            program.end()
        for place in self.places:
            if place.faulty:
                await place.run("iptables", "-w", "-F")
                place.faulty = False
        if self.delay:
            self.delay.end()
            self.delay = None

    def slow_down(self, place, seconds):
        """Every packet to that place takes so much longer from now on."""
        if not self.delay:
            self.delay = Delay(seconds, self.places)
        batch(f"route replace {place.address}/32 dev {self.delay.link} src {place.outer}\n")

    def end(self):
        for program in list(Program.living):
            program.end()
        if self.delay:
            self.delay.end()
        self.folder.cleanup()


def batch(commands, namespace=None):
    done = subprocess.run(
        ["ip", "-batch", "-"], input=commands.encode(), capture_output=True,
        preexec_fn=(lambda: enter(namespace)) if namespace is not None else None,
    )
    if done.returncode:
        raise lab.Trouble(f"ip: {done.stderr.decode(errors='replace').strip()}")


class Delay:
    """Packets that are routed here go on to their place after a while. Kernels without netem need it."""

    def __init__(self, seconds, places):
        self.seconds = seconds
        self.link = "delay0"
        self.ways = {socket.inet_aton(place.address): place for place in places}
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", self.link.encode(), IFF_TUN | IFF_NO_PI))
        # Answers come back by another way than questions go.
        for name in ("all", "default", self.link):
            with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w") as file:
                file.write("0")
        for place in places:
            with open(f"/proc/sys/net/ipv4/conf/{place.link}/rp_filter", "w") as file:
                file.write("0")
        batch(f"link set {self.link} up\n")
        self.out = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.out.setblocking(False)
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.tun, self.take)

    def take(self):
        while True:
            try:
                packet = os.read(self.tun, 65536)
            except BlockingIOError:
                return
            place = self.ways.get(packet[16:20])
            if place:
                self.loop.call_later(self.seconds, self.deliver, packet, place)

    def deliver(self, packet, place):
        mac = bytes.fromhex(place.mac.replace(":", ""))
        try:
            self.out.sendto(packet, (place.link, ETHERTYPE_IP, 0, 0, mac))
        except OSError:
            pass  # A full queue, or the end: the packet is lost, as packets are.

    def end(self):
        self.loop.remove_reader(self.tun)
        os.close(self.tun)
        self.out.close()


class NameServer(asyncio.DatagramProtocol):
    """Answers questions for addresses until it is told to be silent."""

    def __init__(self, names):
        self.names = names
        self.silent = False
        self.transport = None
        self.asked = 0

    @classmethod
    async def start(cls, names):
        loop = asyncio.get_running_loop()
        _, server = await loop.create_datagram_endpoint(lambda: cls(names), local_addr=(NAME_SERVER, 53))
        return server

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.asked += 1
        if self.silent:
            return
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        question = data[12:at + 5]
        known = self.names.get(".".join(labels).lower())
        is_ipv4 = question[-4:-2] == b"\x00\x01"
        answers = []
        if known and is_ipv4:
            answers.append(b"\xc0\x0c\x00\x01\x00\x01" + struct.pack(">IH", 5, 4) + socket.inet_aton(known))
        flags = 0x8180 if known else 0x8183
        head = data[:2] + struct.pack(">HHHHH", flags, 1, len(answers), 0, 0)
        self.transport.sendto(head + question + b"".join(answers), address)

    def end(self):
        self.transport.close()


def asks_our_name_server(path):
    """What a program does before it starts so that it knows no other name server: `path` is its resolv.conf."""
    with open(path, "w") as file:
        file.write(f"nameserver {NAME_SERVER}\n")

    def prepare():
        enter_new(NEW_MOUNTS)
        call("mount", LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        target = os.path.realpath("/etc/resolv.conf").encode()
        call("mount", LIBC.mount(path.encode(), target, None, MS_BIND, None))

    return prepare
