"""How a computer serves as an engine."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Literal

from ..core.errors import UserError
from ..core.protocol.http_messages import PORT
from ..core.protocol.spending import Budget, Price

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
    """end after so many minutes without a job or a request; 0: never. Questions about the engine itself do not count"""
    shutdown_command: str = ""
    """command that switches the machine off when there is nothing to do, or the budget is spent, for instance: sudo poweroff. Its answer is
    kept in shutdown.json; when it fails, the engine stays and says that the machine was not switched off"""
    price_per_hour: float = 0.0
    """what the machine costs; shown to the clients while it runs"""
    currency: str = "$"
    """of the price"""
    budget_hours: float = 0.0
    """hours that the engine may run, all its starts with this folder together; then every job stops with a checkpoint, none is taken any
    more, and --shutdown-command is run; 0: no limit"""
    budget_cost: float = 0.0
    """money that these hours may cost by --price-per-hour; 0: no limit"""

    @property
    def price(self) -> Price:
        """Of the machine."""
        return Price(self.price_per_hour, self.currency)

    @property
    def budget(self) -> Budget:
        """Of the machine; UserError when it is none, or cannot be reckoned."""
        amounts = {"--budget-hours": self.budget_hours, "--budget-cost": self.budget_cost, "--price-per-hour": self.price_per_hour}
        wrong = next((name for name, amount in amounts.items() if not 0 <= amount < math.inf), "")
        if wrong:
            raise UserError(f"{wrong} is {amounts[wrong]:g}.", "Give a number that is not below 0.")
        if self.budget_cost and not self.price_per_hour:
            raise UserError("A budget in money needs the price of an hour.", "Give --price-per-hour too, or --budget-hours alone.")
        return Budget(self.budget_hours, self.budget_cost)


def tunnel(port: int) -> str:
    """The command that brings a port of this computer to another one, ready to paste there."""
    return f"ssh -N -L {port}:127.0.0.1:{port} {getuser()}@{socket.gethostname()}"
