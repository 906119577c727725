"""A SLURM cluster of one node, this machine, for as long as a `with` block lasts.

Conventions: it is a real one, of Debian's `slurm-wlm` and `munge` or the like: munged, slurmctld and slurmd,
with a key, a socket, ports, logs and state of its own in a new folder below /tmp (a socket's path may have no
more than 107 bytes). It listens on the loopback address that this machine's name has, and nowhere else. The
node claims more processors and memory than are there, so that jobs never wait for one another. It has no
control groups and no accounting. Everything that it started, jobs too, ends with the block.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
PATIENCE = 30  # seconds for anything that takes a moment
SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # often not in a user's PATH

CONF = """\
ClusterName=one
SlurmctldHost={host}({address})
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=5
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MailProg=/bin/true
NodeName=localhost NodeHostname={host} NodeAddr={address} CPUs=32 RealMemory=131072 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


class CannotStart(Exception):
    """There is no SLURM here, or it does not start; says why."""


@dataclass(frozen=True)
class Slurm:
    """A running cluster: `environment` is what its commands need beside one's own, `address` where it is."""

    folder: Path
    address: str
    environment: dict[str, str]

    def run(self, *words: str, cwd: Path | None = None, timeout: float = PATIENCE) -> str:
        """What a command of SLURM's prints.

        Raises:
            AssertionError: It fails; with what it said.
        """
        done = subprocess.run(
            words, cwd=cwd, env=self.with_mine(), capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def with_mine(self) -> dict[str, str]:
        """This process's environment and that of the cluster, without anything of another one."""
        foreign = ("SLURM", "SBATCH_", "SRUN_", "SCANCEL_", "SQUEUE_", "SINFO_")
        mine = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**mine, **self.environment}

    def jobs(self, state: str = "all") -> dict[str, str]:
        """State of each job that it remembers, by its number, such as 3 or, in an array, 4_1."""
        lines = self.run("squeue", "--noheader", "--array", f"--states={state}", "--format=%i %T")
        return dict(line.split() for line in lines.splitlines())

    def ports(self) -> list[tuple[str, int]]:
        """Addresses and ports on which its own programs listen."""
        inodes = set()
        for pid in started_by(self.folder):
            with suppress(OSError):
                links = [link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir()]
                inodes |= {name[8:-1] for name in links if name.startswith("socket:[")}
        found = []
        for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
            for line in path.read_text().splitlines()[1:] if path.exists() else ():
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    host, port = fields[1].split(":")
                    words = [bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8)]
                    found.append((str(ip_address(b"".join(words))), int(port, 16)))
        return sorted(found)


@contextmanager
def serving() -> Iterator[Slurm]:
    """A cluster whose node waits for work.

    Raises:
        CannotStart: Programs are missing, this machine's name is that of no loopback address, or one of the
            programs ends at once; with the end of its log.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM))
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        raise CannotStart(f"{', '.join(missing)} not found: Debian has them in slurm-wlm and munge")
    host = socket.gethostname().partition(".")[0]
    try:
        address = socket.gethostbyname(host)
    except OSError:
        raise CannotStart(f"this machine's name, {host}, has no address") from None
    if not address.startswith("127."):
        raise CannotStart(f"this machine's name, {host}, is {address}: SLURM would listen there, for others")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    slurm = Slurm(folder, address, {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path})
    running: list[subprocess.Popen[bytes]] = []
    try:
        _start(slurm, host, running)
        yield slurm
    finally:
        _stop(slurm, running)
        shutil.rmtree(folder)


def _start(slurm: Slurm, host: str, running: list[subprocess.Popen[bytes]]) -> None:
    folder = slurm.folder
    folder.chmod(0o755)  # munged wants its socket where everybody may reach it
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    with socket.socket() as one, socket.socket() as two:  # both at once, so that they differ
        for each in (one, two):
            each.bind((slurm.address, 0))
        ports = [each.getsockname()[1] for each in (one, two)]
    (folder / "slurm.conf").write_text(
        CONF.format(host=host, address=slurm.address, user=os.getuid(), folder=folder, ports=ports)
    )

    def start(name: str, *words: str) -> None:
        with (folder / f"{name}.out").open("wb") as out:
            environment = slurm.with_mine()
            words = (shutil.which(name, path=environment["PATH"]) or name, *words)
            running.append(
                subprocess.Popen(
                    words,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            )

    munge = folder / "munge"
    start(
        "munged",
        "--foreground",
        f"--socket={munge / 'socket'}",
        f"--key-file={key}",
        f"--pid-file={munge / 'pid'}",
        f"--seed-file={munge / 'seed'}",
        f"--log-file={folder / 'munged.log'}",
    )
    _wait(lambda: (munge / "socket").exists(), folder, running)
    start("slurmctld", "-D", "-c")
    start("slurmd", "-D", "-c", "-N", "localhost")
    _wait(lambda: _is_idle(slurm), folder, running)


def _is_idle(slurm: Slurm) -> bool:
    done = subprocess.run(
        ("sinfo", "--noheader", "--format=%T"),
        env=slurm.with_mine(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout.strip() == "idle"


def _wait(until: Callable[[], bool], folder: Path, running: Sequence[subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        ended = [p for p in running if p.poll() is not None]
        if ended or time.monotonic() > end:
            names = [Path(str(p.args[0])).name for p in ended or running]  # type: ignore[index]
            what = "ended at once" if ended else f"did not get ready within {PATIENCE} seconds"
            raise CannotStart(f"{' and '.join(names)} {what}: {_said(folder, names)}")
        time.sleep(0.1)


def _said(folder: Path, names: Sequence[str]) -> str:
    """The last lines of logs."""
    lines = []
    for name in names:
        for path in (folder / f"{name}.out", folder / f"{name}.log"):
            if path.exists():
                lines += path.read_text("utf-8", "replace").strip().splitlines()[-3:]
    return " | ".join(lines) or "nothing was said"


def _stop(slurm: Slurm, running: Sequence[subprocess.Popen[bytes]]) -> None:
    """End jobs, then the programs, the last to start first; and whatever is left of them."""
    if len(running) > 1:
        with suppress(AssertionError, OSError, subprocess.TimeoutExpired):
            slurm.run("scancel", f"--user={os.getuid()}")
            end = time.monotonic() + PATIENCE
            while slurm.jobs("pending,running,completing") and time.monotonic() < end:
                time.sleep(0.1)
    for process in reversed(running):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pid in started_by(slurm.folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def started_by(folder: Path) -> list[int]:
    """Processes that were started with this cluster's settings, and so by it or by its jobs."""
    mark = f"SLURM_CONF={folder / 'slurm.conf'}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
