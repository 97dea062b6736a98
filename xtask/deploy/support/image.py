"""The image of the container file, built by buildah.

The images that it begins with are not fetched: Debian's is made by debootstrap, and Rust's is that with the toolchain of
this machine. Steps run in a chroot, which needs root, and nothing of the kernel that a container has not.
"""

import os
import subprocess
from pathlib import Path

from shipped import FOLDER, ROOT, Containerfile

SCRATCH = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "deploy-check"
IMAGE = "llada"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def run(*command):
    """Runs a command with its output shown, but for what it answers."""
    return subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def buildah(command, *arguments):
    storage = ["--root", SCRATCH / "containers", "--runroot", SCRATCH / "run", "--storage-driver", "vfs"]
    return run("buildah", *storage, command, *arguments)


def in_container(container, *command, options=()):
    return buildah("run", "--isolation", "chroot", *options, container, "--", *command)


def stand_in(base):
    """Makes an image that the container file begins with, unless it was made before."""
    name = f"docker.io/library/{base}"
    if buildah("images", "--quiet", "--filter", f"reference={name}"):
        return
    print(f"making an image that stands for {base}", flush=True)
    distribution, _, tag = base.partition(":")
    if distribution == "debian":
        container = debian(tag.removesuffix("-slim"))
    elif distribution == "rust":
        container = debian(tag.rpartition("-")[2])
        in_container(container, "apt-get", "update")
        in_container(container, "apt-get", "install", "--yes", "--no-install-recommends", "ca-certificates")
        toolchain = Path(run("rustc", "--print", "sysroot"))
        for part in ("bin", "lib"):
            buildah("add", container, toolchain / part, f"/usr/local/{part}")
    else:
        raise AssertionError(f"nothing stands for {base}")
    buildah("commit", "--rm", container, name)


def debian(suite):
    """A container with a minimal Debian, which trusts what this machine trusts."""
    folder = SCRATCH / suite
    if not (folder / "usr").exists():
        unfinished = SCRATCH / f"{suite}-unfinished"
        run("rm", "-rf", unfinished)
        run("debootstrap", "--variant=minbase", suite, unfinished)
        unfinished.rename(folder)
    container = buildah("from", "scratch")
    buildah("add", container, folder, "/")
    if CERTIFICATES.exists():
        buildah("add", container, CERTIFICATES, "/usr/local/share/ca-certificates/of-the-machine.crt")
    return container


def build():
    for base in Containerfile().bases():
        stand_in(base)
    file = FOLDER / "Containerfile"
    # HEALTHCHECK is an instruction of Docker's format alone.
    options = ["--isolation", "chroot", "--pull-never", "--format", "docker", "--file", file, "--tag", IMAGE]
    print(buildah("build", *options, ROOT))
