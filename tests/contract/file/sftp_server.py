"""A real SFTP server in the test's own process, on a folder, that can hang up before or after it renames."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path
from typing import Any

import paramiko

USER, PASSWORD = "octo", "sandbox-password"


class Door(paramiko.ServerInterface):  # type: ignore[misc]
    """Lets `octo` in, by password or by his key."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == (USER, PASSWORD)
        return int(paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == USER and key == self.server.user_key
        return int(paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED)

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


class Disk(paramiko.SFTPServerInterface):  # type: ignore[misc]
    """The folder, below `/`."""

    def __init__(self, door: Door, *args: Any, **options: Any) -> None:
        self.server = door.server
        super().__init__(door, *args, **options)

    def path(self, name: str) -> Path:
        return self.server.root / str(self.canonicalize(name)).lstrip("/")

    def told(self, call: Any) -> Any:
        """SFTP's word for what the system says."""
        try:
            found = call()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        return paramiko.SFTP_OK if found is None or isinstance(found, Path) else found

    def stat(self, path: str) -> Any:
        return self.told(lambda: paramiko.SFTPAttributes.from_stat(self.path(path).stat()))

    lstat = stat

    def list_folder(self, path: str) -> Any:
        found = sorted(self.path(path).iterdir())
        return [paramiko.SFTPAttributes.from_stat(one.stat(), one.name) for one in found]

    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> Any:
        return self.told(lambda: paramiko.SFTPServer.set_file_attr(str(self.path(path)), attr))

    def remove(self, path: str) -> Any:
        return self.told(lambda: self.path(path).unlink())

    def rename(self, oldpath: str, newpath: str) -> Any:
        """Plain renaming goes over nothing (SFTP 3)."""
        if self.path(newpath).exists():
            return paramiko.SFTP_FAILURE
        return self.posix_rename(oldpath, newpath)

    def posix_rename(self, oldpath: str, newpath: str) -> Any:
        if not self.server.renames_over and self.path(newpath).exists():
            return paramiko.SFTP_OP_UNSUPPORTED
        if self.server.due("drop_before"):
            self.server.hang_up()
            return paramiko.SFTP_FAILURE
        done = self.told(lambda: self.path(oldpath).replace(self.path(newpath)))
        if self.server.due("drop_after"):
            self.server.hang_up()
        return done

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Any:
        if self.server.due("drop_at_open"):
            self.server.hang_up()
            return paramiko.SFTP_FAILURE
        try:
            number = os.open(self.path(path), flags, 0o600)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        handle: Any = paramiko.SFTPHandle(flags)
        handle.filename = str(self.path(path))
        handle.readfile = handle.writefile = os.fdopen(number, "wb" if writes else "rb")
        handle.stat = lambda: paramiko.SFTPAttributes.from_stat(os.fstat(number))
        handle.chattr = lambda attr: self.chattr(path, attr)
        return handle


class Server:
    """Listens between `with` and its end. What it shall do wrong is in `faults`, once each."""

    def __init__(self, root: Path, user_key: paramiko.PKey | None = None) -> None:
        self.root = root
        self.user_key = user_key
        self.key = paramiko.ECDSAKey.generate()
        self.faults: list[str] = []
        self.renames_over = True
        self.logins = 0
        self.open: list[paramiko.Transport] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    @property
    def host_key(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"

    def due(self, fault: str) -> bool:
        if fault not in self.faults:
            return False
        self.faults.remove(fault)
        return True

    def hang_up(self) -> None:
        for transport in self.open:
            transport.close()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # the end
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Disk)
            self.open = [one for one in self.open if one.is_active()] + [transport]
            self.logins += 1
            transport.start_server(event=threading.Event(), server=Door(self))

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for transport in self.open:
            transport.close()
            transport.join(5)
