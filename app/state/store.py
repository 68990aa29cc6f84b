"""Opens everything that lives in Redis at once."""

from __future__ import annotations

from app.state.activity import Activity
from app.state.clients import Clients, Master
from app.state.connect import open_blocking, open_commands, open_replicated, shown
from app.state.events import Events
from app.state.fallbacks import Fallbacks
from app.state.history import History
from app.state.jobs import Jobs
from app.state.keys import NAMESPACE, Keys
from app.state.leases import Leases
from app.state.listing import Listing
from app.state.media import Media
from app.state.operations import Operations
from app.state.output import Output
from app.state.queues import Queues
from app.state.reaper import Reaper
from app.state.schema import Schema
from app.state.scripting import Scripts
from app.state.seal import Seal
from app.state.server import Server
from app.state.sessions import Sessions
from app.state.survey import Survey
from app.state.users import Users
from app.state.workers import Workers


class Store:
    """The parts of the state over a few pools of connections. Close it when done.

    What is acknowledged to somebody is on `replicas` replicas then.
    """

    def __init__(self, url: str, namespace: str = NAMESPACE, replicas: int = 0) -> None:
        self.address = shown(url)  # for people: nothing secret is in it
        self.redis = open_commands(url)
        self.blocking = open_blocking(url)
        self.keys = Keys(namespace)
        self.replicated = open_replicated(url, replicas, self.keys.replicated) if replicas else self.redis
        self.scripts = Scripts(self.redis, self.keys, self.replicated)
        self.workers = Workers(self.redis, self.keys, self.scripts)
        self.clients = Clients(self.redis, self.keys, self.scripts, self.replicated)
        self.output = Output(self.redis, self.blocking, self.keys, self.scripts, self.replicated)
        self.fallbacks = Fallbacks(self.redis, self.keys, self.scripts)
        self.media = Media(self.redis, self.keys)
        self.activity = Activity(self.redis, self.keys)
        self.events = Events(self.redis, self.blocking, self.keys)
        self.history = History(self.redis, self.keys, self.workers)
        self.reaper = Reaper(self.keys, self.scripts, self.history)
        self.queues = Queues(self.redis, self.keys, self.scripts)
        self.survey = Survey(self.redis, self.keys, self.queues, self.workers, self.history)
        self.server = Server(self.redis)
        self.listing = Listing(self.redis, self.keys, self.scripts)
        self.schema = Schema(self.redis, self.keys, self.scripts, self.listing)
        self.operations = Operations(self.redis, self.keys, self.scripts, self.listing)

    def jobs(self, seal: Seal) -> Jobs:
        """Jobs from the coordinator's side."""
        return Jobs(self.redis, self.keys, self.scripts, seal, self.workers)

    def leases(self, worker: str, boot: str) -> Leases:
        """Jobs from a worker's side."""
        return Leases(self.redis, self.blocking, self.keys, self.scripts, worker, boot)

    def users(self, master: Master) -> Users:
        """Who may use the dashboard."""
        return Users(self.redis, self.keys, self.scripts, master.user_key())

    def sessions(self, master: Master, users: Users) -> Sessions:
        """Who of them is signed in."""
        return Sessions(self.redis, self.keys, self.scripts, users, master.session_key())

    async def close(self) -> None:
        """Closes all connections."""
        for client in {self.redis, self.blocking, self.replicated}:
            await client.aclose()
