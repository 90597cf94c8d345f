"""Judges the service bench by others: our client against Zephyr's own SMP servers and MCUboot's own
serial recovery, and smpmgr, mcumgrctl and imgtool against our simulated board.

The servers are Zephyr 4.4 programs (native_sim, on a pseudo terminal), and images of Zephyr with MCUboot
for QEMU, that come with the source distribution of smpclient; it is fetched by its hash into the folder
of what is built.
"""

import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = Path(sys.argv[1]).resolve()
TARGET = PROGRAM.parents[2]
HERE = Path(__file__).parent
TOOLS = TARGET / "judges-tools"
MCUMGRCTL = "0.20.0"


def fetched():
    """The folder of Zephyr's servers."""
    place = TARGET / "judges-smpclient"
    servers = place / "smpclient-7.3.0" / "tests" / "fixtures" / "smp-server"
    if not servers.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        pinned = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", HERE / "smp-servers.txt"]
        subprocess.run([*pip, *pinned, "-d", place], check=True)
        with tarfile.open(place / "smpclient-7.3.0.tar.gz") as archive:
            archive.extractall(place, filter="data")
    for server in servers.glob("*.exe"):
        server.chmod(0o755)
    return servers


def installed():
    """mcumgrctl, built once."""
    program = TOOLS / "bin" / "mcumgrctl"
    if not program.exists():
        install = ["cargo", "install", "--quiet", "mcumgrctl", "--version", MCUMGRCTL, "--locked"]
        subprocess.run([*install, "--no-default-features", "--root", TOOLS], check=True)
    return program


class Running:
    """A program that says on which terminal it is."""

    def __init__(self, *command, cwd):
        self.process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said = ""
        giving_up = threading.Timer(20, self.process.kill)
        giving_up.start()
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"/dev/(pts/\d+|ttys\d+)", line):
                giving_up.cancel()
                self.port = found.group()
                return
        sys.exit(f"{command[0]} is on no terminal:\n{self.said}")

    def end(self):
        """Ends it by its standard input; what it says at the end."""
        try:
            return self.process.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            return ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def run(*command, **env):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, env={**os.environ, **env}
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


PASSED = []


def expect(what, said, *parts):
    for part in parts:
        if part not in said:
            sys.exit(f"{what}: `{part}` is not in\n{said}")
    PASSED.append(what)
    print(f"ok  {what}")


def against_zephyr(servers, work):
    def server(config, *args):
        (program,) = servers.glob(f"*_native_sim_{config}.exe")
        return Running(program, *args, cwd=work)

    for config, buffers in [
        ("serial", "buffer_bytes=384 buffers=4"),
        ("serial_buf256", "buffer_bytes=256 buffers=4"),
        ("serial_buf2048", "buffer_bytes=2048 buffers=4"),
        # It does not say: we assume the least.
        ("serial_noparams", "buffer_bytes=256 buffers=1"),
    ]:
        with server(config) as zephyr:
            expect(f"Zephyr answers on its console, {config}", run(PROGRAM, "probe", zephyr.port), buffers)
    with server("serial_raw") as zephyr:
        expect("Zephyr answers in raw framing", run(PROGRAM, "probe-raw", zephyr.port), "buffer_bytes=384")
    content = work / "content"
    content.write_bytes(os.urandom(3_000))
    # Those with room for what a busy machine brings late, and then at once.
    for config in ["serial_bigrx", "serial_fs"]:
        with server(config, "-flash_in_ram") as zephyr:
            said = run(PROGRAM, "file", zephyr.port, "/lfs1/f", content)
            expect(f"Zephyr has, hashes and gives back a file, {config}", said, "uploaded=3000")


def against_mcuboot(servers, work):
    for config, verb, buffer in [
        ("serial_recovery", "recover", 1024),
        ("serial_recovery_buf512", "recover", 256),
    ]:
        (bootloader,) = servers.glob(f"*_mps2_an385_{config}.hex")
        image = bootloader.with_suffix(".signed.bin")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        machine = ["qemu-system-arm", "-cpu", "cortex-m3", "-machine", "mps2-an385", "-nographic"]
        serial = [f"socket,id=con,host=127.0.0.1,port={port},server=on,wait=off", "-serial", "chardev:con"]
        loaded = ["-device", f"loader,file={bootloader}", "-device", f"loader,file={image},addr=0x20050000"]
        command = [*machine, "-chardev", *serial, "-serial", "null", "-monitor", "none", *loaded]
        qemu = subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL)
        try:
            listening(port)
            said = run(PROGRAM, verb, f"tcp:127.0.0.1:{port}", image)
        finally:
            qemu.kill()
            qemu.wait()
        there = [f"mode=Recovery buffers=1x{buffer}", "transferred=true", "runs=true"]
        expect(f"MCUboot's recovery in QEMU takes an image, and lets us out again, {config}", said, *there)


def listening(port):
    until = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                sys.exit("QEMU does not listen")
            time.sleep(0.05)


def against_our_board(work, mcumgrctl):
    with Running(PROGRAM, "board", work, cwd=work) as board:
        expect("imgtool verifies our image", run("imgtool", "verify", work / "update.bin"), "correctly validated")
        plain = {"TERM": "dumb", "COLUMNS": "200", "NO_COLOR": "1"}
        smpmgr = ["smpmgr", "--port", board.port, "--baudrate", "1000000", "image"]
        expect("smpmgr reads our board's slots", run(*smpmgr, "state-read", **plain), "1.0.0", "active=True")
        run(*smpmgr, "upload", work / "update.bin", **plain)
        said = run(mcumgrctl, "--serial", board.port, "image", "get-state")
        expect("mcumgrctl sees what smpmgr uploaded", said, "1.0.0", "1.1.0")
        said = run(PROGRAM, "update", board.port, work / "update.bin")
        expect("our client takes it from there to its confirmation", said, "verdict=Passed")
        said = run(mcumgrctl, "--serial", board.port, "image", "get-state")
        expect("mcumgrctl sees it run", said, "Slot 0:\n    version:   1.1.0")
        expect("and so does the board itself", board.end(), "running=1.1.0 true")


with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    against_zephyr(fetched(), work)
    against_mcuboot(fetched(), work)
    against_our_board(work, installed())
print(f"{len(PASSED)} passed, 0 failed")
