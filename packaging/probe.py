"""Tries, in the sandbox of sluis.service, what nothing in it may do. Ends with 1 if one of these succeeds."""
import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
failed = False


def refused(what, attempt, *expected):
    """`expected`: the errors that the sandbox answers with; another one means that something else was in the way."""
    global failed
    try:
        attempt()
        got = "it succeeded"
    except OSError as error:
        got = errno.errorcode.get(error.errno, error.errno)
    good = got in expected
    failed |= not good
    print("kept from" if good else "NOT KEPT FROM", what, f"({got})", flush=True)


def call(name, *arguments):
    ctypes.set_errno(0)
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def written(path):
    return lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT))


for path in ("/etc/sluis/x", "/usr/bin/x", "/var/lib/x", "/run/lock/x", "/sluis/x"):
    refused(f"writing {path}", written(path), "EROFS")
refused("reading /root", lambda: os.listdir("/root"), "EACCES")
refused("reading /srv", lambda: os.listdir("/srv"), "EACCES")
refused("starting a shell", lambda: subprocess.run(["/bin/sh", "-c", "true"]), "EACCES")
refused("looking at process 1", lambda: os.listdir("/proc/1"), "ENOENT")
refused("kernel settings", lambda: os.stat("/proc/sys/kernel"), "ENOENT")
refused("raw packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW), "EAFNOSUPPORT")
refused("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), "EAFNOSUPPORT")
refused("another namespace", lambda: call("unshare", 0x10000000), "EPERM")
refused("mounting", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None), "EPERM")
refused("tracing", lambda: call("ptrace", 0, 0, 0, 0), "EPERM")
refused("another user", lambda: os.setuid(0), "EPERM")
refused("the clock", lambda: call("adjtimex", bytes(256)), "EPERM")
refused("set-user-id files", lambda: os.chmod("/var/lib/sluis", 0o4700), "EPERM")
refused("code that was written at run time", lambda: mmap.mmap(-1, 4096, prot=7), "EPERM")
refused("an old system call interface", lambda: call("personality", 8), "EPERM")
sys.exit(failed)
