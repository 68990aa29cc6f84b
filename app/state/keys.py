"""Every Redis key, spelled once: the schema.

Control keys share one hash tag, so that scripts, MULTI and reads of many streams are legal on Redis
Cluster. Bulk keys (a job's output and log) carry the job's own tag and spread.

`{ff}` below is the namespace's tag; a second namespace on one server has another.
"""

GROUP = "w"  # the one consumer group of every stream that has one
REAPER = "reaper"  # the consumer that holds suspected entries
NAMESPACE = "ff"
SCHEMA = 1  # the number of what is spelled here: a store of a smaller one is brought up to it, see `schema`


class Keys:
    """The keys of one namespace. Raises nothing; the name is trusted configuration."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self.tag = "{" + namespace + "}"
        self.bulk = namespace
        self.schema = self.tag + ":schema"
        """string · SCHEMA of those who have stored all this; none: 0, older than numbers, or empty"""
        self._name_jobs()
        self._name_workers()
        self._name_records()
        self._name_access()

    def _name_jobs(self) -> None:
        """What jobs are, and how they are found."""
        self.jobs = self.tag + ":jobs"
        """zset · job id by creation ms"""
        self.states = self.tag + ":jobs:"
        """zset · + state: job id by ms of entering it"""
        self.made = self.tag + ":made:"
        """zset · + state: job id by creation ms, for lists"""
        self.own = self.tag + ":own:"
        """zset · + state: id of a job of ffgrid's own by ms of entering it; in none of the above, see `job.OWN`"""
        self.owned = self.tag + ":owned:"
        """zset · + key id: job id by creation ms"""
        self.job_prefix = self.tag + ":job:"
        """hash · + job id: state spec cls lane owner redo request attempt losses failures worker boot token msg
        paused published (what was about to get its name) label:<name> try:<attempt> (its end, JSON) ... · 7 days"""
        self.again_prefix = self.tag + ":again:"
        """string PX · + job id: the last job that has run its command again · 7 days"""
        self.media_prefix = self.tag + ":media:"
        """hash · + job id: job:<what> (the job that looks at its files), seen:<what> (what that saw) · 1 hour"""
        self.idem_prefix = self.tag + ":idem:"
        """string PX · + owner:key: job id and digest of the submission · 1 day"""
        self.callers = self.tag + ":callers"
        """zset · attached job id by the ms at which its caller counts as gone"""
        self.due = self.tag + ":due"
        """zset · waiting job id by the ms at which it is tried again"""
        self.litter = self.tag + ":litter"
        """zset · id of a job whose lost attempts may have left files, by the ms at which to look for them"""

    def _name_workers(self) -> None:
        """What jobs need, who has it, and how the two meet."""
        self.queue_prefix = self.tag + ":q:"
        """stream, group `w` · + class:lane: {job: id}, only a hint that somebody should look"""
        self.classes = self.tag + ":classes"
        """hash · class id -> requirement JSON"""
        self.classes_used = self.tag + ":classes:used"
        """zset · class id by ms of its last submission"""
        self.capable_prefix = self.tag + ":cap:"
        """zset · + class id: worker id by last beat ms"""
        self.workers = self.tag + ":workers"
        """zset · worker id by last beat ms"""
        self.worker_prefix = self.tag + ":worker:"
        """hash · + worker id: boot about busy order (pause|drain) beat · 1 day after the last beat"""
        self.ended_prefix = self.tag + ":ended:"
        """hash · + worker id: <hour since 1970>:<done|failed> jobs that have ended there · 25 hours"""
        self.inbox_prefix = self.tag + ":inbox:"
        """stream · + worker id: {do: cancel|kill|pause|resume|call|drain|class, ...} · MAXLEN ~ 1000"""
        self.reaper = self.tag + ":reaper"
        """hash · last (ms of the last tick) grace (ms until which nothing is reaped) audit:<index>, <stream> cursors"""
        self.replicated = self.tag + ":replicated"
        """channel · nobody listens: a write that makes WAIT wait, see `batching`"""

    def _name_records(self) -> None:
        """What has happened: no job needs it to run."""
        self.events = self.tag + ":events"
        """stream · job event state worker attempt · MAXLEN ~ 10000"""
        self.totals = self.tag + ":totals"
        """hash · what was counted since the beginning, see `totals`"""
        self.operations = self.tag + ":operations"
        """zset · id of an operation on many jobs by the ms until which it is remembered, inf while it goes on"""
        self.operation_prefix = self.tag + ":operation:"
        """hash · + operation id: work (JSON) digest state total exact done skipped failed began ended note place
        token held (ms until which a process works at it) · 1 day after its end"""
        self.history = self.tag + ":history"
        """stream · a sample a minute, its id is the minute, see `history` · MAXLEN ~ 1500"""
        self.fallbacks = self.tag + ":fallbacks"
        """stream · report client at binary count reason: calls that ran on their own host · MAXLEN ~ 1000"""
        self.activity = self.tag + ":activity"
        """stream · who did what: what people and keys have changed · MAXLEN ~ 10000, 90 days"""

    def _name_access(self) -> None:
        """Who may do something: keys that sign, and users of the dashboard."""
        self.clients = self.tag + ":keys"
        """hash · key id -> role, version, networks ... JSON; no secret"""
        self.nonce_prefix = self.tag + ":nonce:"
        """string PX · + key id:nonce: burnt · 2 windows"""
        self.users = self.tag + ":users"
        """hash · name of a dashboard's user -> role, hash of the password ... JSON and a seal"""
        self.session_prefix = self.tag + ":session:"
        """string PX · + random id: ms at which it began · 8 h without a request, 7 d"""
        self.access = self.tag + ":access"
        """stream · user: whose session, role or password is another now, or is none · MAXLEN ~ 1000"""
        self.streams_prefix = self.tag + ":streams:"
        """zset PX · + session's id: stream that is open, <tab>:<random>, by the ms until which it counts"""
        self.link_prefix = self.tag + ":link:"
        """string PX · + random id: the user whom this one-time link signs in · 1 h, or its first use"""
        self.tries_prefix = self.tag + ":tries:"
        """zset PX · + user:digest or address:address: passwords tried, marks by ms · 1 min"""

    def state(self, state: str) -> str:
        """zset · see `states`"""
        return self.states + state

    def made_in(self, state: str) -> str:
        """zset · see `made`"""
        return self.made + state

    def owned_by(self, key_id: str) -> str:
        """zset · see `owned`"""
        return self.owned + key_id

    def job(self, job_id: str) -> str:
        """hash · see `job_prefix`"""
        return self.job_prefix + job_id

    def operation(self, operation_id: str) -> str:
        """hash · see `operation_prefix`"""
        return self.operation_prefix + operation_id

    def queue(self, cls: str, lane: str) -> str:
        """stream · see `queue_prefix`"""
        return f"{self.queue_prefix}{cls}:{lane}"

    def again(self, job_id: str) -> str:
        """string · see `again_prefix`"""
        return self.again_prefix + job_id

    def media(self, job_id: str) -> str:
        """hash · see `media_prefix`"""
        return self.media_prefix + job_id

    def worker(self, worker_id: str) -> str:
        """hash · see `worker_prefix`"""
        return self.worker_prefix + worker_id

    def ended(self, worker_id: str) -> str:
        """hash · see `ended_prefix`"""
        return self.ended_prefix + worker_id

    def inbox(self, worker_id: str) -> str:
        """stream · see `inbox_prefix`"""
        return self.inbox_prefix + worker_id

    def nonce(self, key_id: str, nonce: str) -> str:
        """string · see `nonce_prefix`"""
        return f"{self.nonce_prefix}{key_id}:{nonce}"

    def session(self, session_id: str) -> str:
        """string · see `session_prefix`"""
        return self.session_prefix + session_id

    def streams(self, session_id: str) -> str:
        """zset · see `streams_prefix`"""
        return self.streams_prefix + session_id

    def link(self, link_id: str) -> str:
        """string · see `link_prefix`"""
        return self.link_prefix + link_id

    def tries(self, common: str) -> str:
        """zset · see `tries_prefix`"""
        return self.tries_prefix + common

    def output(self, job_id: str) -> str:
        """stream · k(ind) d(ata) of an attached job, ids are frame numbers, the window bounds it · 10 min after"""
        return f"{self.bulk}:out:{{{job_id}}}"

    def input(self, job_id: str) -> str:
        """stream · k(ind) d(ata) from an attached caller, ids are frame numbers, deleted as taken · 10 min after"""
        return f"{self.bulk}:in:{{{job_id}}}"

    def log(self, job_id: str) -> str:
        """stream · k(ind) a(ttempt) n(umber) d(ata): what the job printed · MAXLEN ~ 2000 · 1 day after the end"""
        return f"{self.bulk}:log:{{{job_id}}}"
