"""How a computer serves as an engine."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Literal

from ..core.protocol.http_messages import PORT

TOKEN_VARIABLE = "SPLATWRIGHT_TOKEN"
GIGABYTE = 10**9


@dataclass(frozen=True)
class ServeOptions:
    """Whom the engine serves, where, and with what."""

    host: str = "127.0.0.1"
    """address to listen at; beyond this computer only with a token of your own"""
    port: int = PORT
    """port to listen at; 0: any that is free"""
    folder: Path = Path("~/.local/share/splatwright/serve")
    """where jobs and files are kept"""
    token: tuple[str, ...] = ()
    """what clients must show; several for several clients, each of which sees its own jobs. Better given as the variable
    SPLATWRIGHT_TOKEN, which no list of processes shows"""
    certificate: Path | None = None
    """certificate file (PEM) for https"""
    key: Path | None = None
    """private key file (PEM) of the certificate"""
    gpus: tuple[str, ...] = ()
    """numbers of the graphics cards to use; none: every card, or the processor"""
    executor: Literal["local", "ray"] = "local"
    """where jobs run: on this computer, or on all machines of a Ray cluster that share the folder"""
    ray_address: str = "auto"
    """of the Ray cluster, as 10.0.0.1:6379; auto: the one that this computer belongs to"""
    file_gigabytes: float = 20.0
    """largest file that is taken"""
    client_gigabytes: float = 200.0
    """most that one client's files may take"""
    keep_free_gigabytes: float = 2.0
    """what stays free on the disk"""
    stop_when_idle: float = 0.0
    """end after so many minutes without a job or a request; 0: never"""
    on_idle: str = ""
    """command that is run when the engine ends for want of work, for instance: sudo poweroff"""
    price_per_hour: float = 0.0
    """what the machine costs; shown to the clients while it runs"""
    currency: str = "$"
    """of the price"""


def tunnel(port: int) -> str:
    """The command that brings a port of this computer to another one, ready to paste there."""
    return f"ssh -N -L {port}:127.0.0.1:{port} {getuser()}@{socket.gethostname()}"
