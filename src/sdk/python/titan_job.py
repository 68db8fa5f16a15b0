"""Titan for Python, inside a job: durable steps, more jobs, questions to people (lesson 18).

    from titan_job import job
    plan = job.step("plan", "the moon", lambda call: think("the moon", call.idempotency_key))
    parts = job.spawn("dig", [{"id": name, "run": f"./dig.sh {name}"} for name in plan])
    job.output(job.results(parts))

The program may be started again at any time: its worker may die, or it waits and gives its slot
away. Then it runs from its top, and what its steps have done is there. Steps, spawns, questions and
pauses are known by the names that the program gives them, and by nothing else.

Invariants: the function of a step runs after the master has on disk that it is about to; a caller
gets the same value whether it has run now or in an earlier attempt (what JSON makes of it); no
process ends while one of its steps or requests is under way.
Left out: work of other threads beside their steps and waits. It is cut off when the process ends to
wait, and begins again in the next attempt: put it into a step.
Test: test/sdk.python.test.ts, which runs test/python
"""
import contextlib, datetime, functools, hashlib, itertools, json, os, pathlib, secrets, signal
import sys, threading, time
from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar, Union
from titan import (BudgetError, Client, ClosedError, ConnectError, InvalidError, Keys, Pipeline,
                   Request, Row, Source, Store, TitanError, TooLargeError, UnsupportedError,
                   gate_of, job_keys, job_specs, json_of, read_requests, read_schema, value_of,
                   wire)
__all__ = ["Job", "JobFailedError", "StepCall", "StepError", "job"]
own = read_schema("""
StepStart(name t, ordinal u, input_hash r, effect read|idempotent|once,
  on_ambiguous retry|fail|ask, call u, reserve Reserve?, again b=)
StepDone(result r?, blob Blob?, usage Usage?)   StepRuns(idempotency_key t)
StepAmbiguous(started_at u, attempt u)   StepChanged(was r, now r, words t)
StepAnswer|(done StepDone, run StepRuns, ambiguous StepAmbiguous, changed StepChanged)
StepEnd(name t, ordinal u, result r?, blob Blob?, failure t?, usage Usage?, told b=)
BlobChunk(data r)   SpawnBefore(job u, child t)
Spawn(key t, jobs JobSpec*, parents t*, before SpawnBefore*, stage t=)
Spawned(from u, jobs u, existing b=)   Ask(key t, gate Gate)
Asked(gate t, deadline u, decision Decision?)   JobsWait(jobs t*)   AskWait(key t)   TimeWait(at u)
BudgetWait(need Spent)   Wait|(jobs JobsWait, ask AskWait, time TimeWait, budget BudgetWait)
WaitRequest(waits Wait*)   WaitReply(met u*)
""", wire)
ask = read_requests("""
STEP_START 96 StepStart StepAnswer   STEP_END 97 StepEnd Empty   BLOB_GET 14 BlobRef BlobChunk
WAIT 100 WaitRequest WaitReply       ASK 101 Ask Asked           SPAWN 102 Spawn Spawned
""", own)
MAX_RESULT_BYTES, MAX_BLOB_BYTES = 64 * 1024, 64 * 1024 * 1024  # in the log and in memory; on disk
MAX_FAILURE_BYTES, MAX_KEY_BYTES, MAX_STATUS_JOBS = 4096, 128, 1000
PATIENCE_S = 600.0  # the longest grace of any master: then somebody else has this attempt
QUIET_S = 0.02  # what a call has returned to a thread may lead it to another call
FIRST_LOOK_S, LAST_LOOK_S = 0.1, 2.0  # of a program that holds its slot
OVER = ("COMPLETED", "FAILED", "DEAD", "CANCELLED", "SKIPPED")
T = TypeVar("T")

class StepError(TitanError):
    """A step has no result. `code`: STEP_CHANGED (its name stood for another input before),
    AMBIGUOUS (it may have happened), GIVEN_UP (by a person), UNFIT (its input or its result cannot
    be kept), NESTED (it was called inside another step)."""
    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code

class JobFailedError(TitanError):
    """One of the jobs that were waited for did not complete: `job`, `status`."""
    def __init__(self, found: Row) -> None:
        why = f": {found.failure}" if found.failure else ""
        super().__init__(f'Cannot give the results: job "{found.id}" is {found.status}{why}')
        self.job, self.status = found.id, found.status

class StepCall:
    """What the function of a step is handed. `idempotency_key` is the same whenever it runs: for
    services that know a call again."""
    def __init__(self, idempotency_key: str) -> None:
        self.idempotency_key, self.cost = idempotency_key, {}
    def emit(self, text: str) -> None:
        """Text for people who watch: output of the job, at once."""
        sys.stdout.write(text)
        sys.stdout.flush()
    def usage(self, *, model: Optional[str] = None, **amounts: int) -> None:
        """What it has cost: tokens_in, tokens_out, usd_micros (millionths of a dollar), ms. Said
        more than once, numbers are added up."""
        for name in amounts:
            if name not in ("tokens_in", "tokens_out", "usd_micros", "ms"):
                raise TypeError(f"a step has no usage {name}")
            self.cost[name] = self.cost.get(name, 0) + amounts[name]
        if model is not None: self.cost["model"] = model

def setting(name: str) -> str:
    if name in os.environ: return os.environ[name]
    raise TitanError(f"Cannot read {name}: this program is no job of a Titan run")
def end_process() -> None:
    """With code 0, and at once: no `finally` of the program may go on with what it waits for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)

class Session(Client):
    """A client with the job's own credential. A master that is away is a pause, also at first."""
    def __init__(self) -> None:
        token = setting("TITAN_TOKEN")
        if not token.startswith("titan-job."):
            raise UnsupportedError("Cannot ask the master: TITAN_TOKEN is not that of a job")
        super().__init__(setting("TITAN_MASTER"), token, deadline=PATIENCE_S, patience=PATIENCE_S)
    def _open(self) -> Any:
        until = time.monotonic() + self.patience
        while True:
            try: return super()._open()
            except ConnectError:
                if time.monotonic() > until: raise
            time.sleep(0.2)

class Waits:
    """What this process does, and what it waits for. When nothing but waits is left, the master is
    told of them, and the process ends; when one is met, the program is started again."""
    def __init__(self, pause: Callable[[list], list], end: Callable[[], None]) -> None:
        self._pause, self._end, self.inside = pause, end, threading.local()
        self._turn, self._busy, self._moves = threading.Condition(), 0, 0
        self._waiting: list[Row] = []
    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """The process must not end in the middle of this. While the master is asked whether it may
        end, others wait here: the lock is held."""
        self._move(1)
        try: yield
        finally: self._move(-1)
    def check_outside(self, doing: str) -> None:
        """In a later attempt a step is done, and its function is not called: what is in it would
        not be counted. And a job cannot end to wait while one of its steps is under way."""
        step = getattr(self.inside, "step", None)
        if step is None: return
        why = f"it is inside step {step}, which would not call it again"
        raise StepError("NESTED", f"Cannot {doing}: {why}; call it before or after that step")
    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """In this thread the function of a step runs."""
        self.inside.step = name
        try:
            with self.busy(): yield
        finally: self.inside.step = None
    def _move(self, step: int) -> None:
        with self._turn:
            self._busy, self._moves = self._busy + step, self._moves + 1
            self._turn.notify_all()
    def until(self, wish: dict[str, Any]) -> None:
        """Returns when the wish is met. Else the process ends here."""
        self.check_outside("wait")
        me = Row(wish=wish, over=False, error=None)
        with self._turn:
            self._waiting.append(me)
            while not me.over:
                moves, quiet = self._moves, None if self._busy else QUIET_S
                if not self._turn.wait_for(lambda: me.over or self._moves != moves, quiet):
                    self._ask()  # for a while nobody was busy
        if me.error: raise me.error
    def _ask(self) -> None:
        asked, error = self._waiting, None
        try: met = self._pause([each.wish for each in asked])
        except TitanError as found: met, error = range(len(asked)), found
        if not met: self._end()
        for at in met: asked[at].update(over=True, error=error)
        self._waiting = [each for each in asked if not each.over]
        self._moves += 1
        self._turn.notify_all()

class Artifacts:
    """Files of this run, or with `keep` files that live by a name (lesson 11)."""
    def __init__(self, job: "Job") -> None: self._job = job
    def put(self, name: str, source: Source, *, keep: bool = False) -> Row:
        """`source`: bytes, a text, a pathlib.Path, or pieces of bytes as they come. While the
        master is away it is sent again; pieces are not, as they are gone."""
        me, until = self._job, time.monotonic() + PATIENCE_S
        place = {"run": me.run, "job": me.id, "attempt": me.attempt}  # or where it comes from
        while True:
            try:
                with me.waits.busy(): return me.titan.put_artifact(name, source, keep=keep, **place)
            except (ClosedError, ConnectError):
                is_gone = not isinstance(source, (bytes, str, pathlib.Path))
                if is_gone or time.monotonic() > until: raise
            time.sleep(0.2)
    def get(self, name: str, *, keep: bool = False) -> Row:
        """`info`, and its `bytes` as they come: of this run, or else (or with `keep`) a kept one.
        Files that a job before this one has declared are called JOB/PATH."""
        run = "" if keep else self._job.run
        return self._job.titan.get_artifact(name, run=run, or_kept=not keep)
    def list(self, *, keep: bool = False) -> list:
        return self._job.titan.artifacts(None if keep else self._job.run, kept=keep)
    def rm(self, name: str) -> Row: return self._job.titan.remove_artifact(name, self._job.run)

class Job:
    """The job that this program is. Nothing is asked of the master before the program uses it."""
    id = property(lambda self: setting("TITAN_JOB"))
    run = property(lambda self: setting("TITAN_RUN"))
    attempt = property(lambda self: int(setting("TITAN_ATTEMPT")))
    store = functools.cached_property(lambda self: Store.dial(setting("TITAN_STORE")))
    def __init__(self, end: Callable[[], None] = end_process) -> None:
        self.waits = Waits(lambda waits: self.titan._ask(ask.WAIT, waits=waits).met, end)
        self.artifact, self._lock = Artifacts(self), threading.RLock()
        self._session: Optional[Session] = None
        self._ordinals: dict[str, Any] = {}
        self._cancelled: Optional[threading.Event] = None
    @property
    def titan(self) -> Session:
        """The client of this job: it reads its own run, and what is kept by name."""
        with self._lock:
            self._session = self._session or Session()
            return self._session
    def close(self) -> None:
        with self._lock:
            if self._session is not None: self._session.close()
            self._session = None

    # ── what goes in and out
    @property
    def inputs(self) -> dict[str, Any]:
        """The results of its parents, by name."""
        with open(os.environ.get("TITAN_INPUTS", os.devnull), encoding="utf-8") as file:
            return json.loads(file.read() or "{}")
    def input(self, parent: Optional[str] = None) -> Any:
        """The result of a parent; without a name those of all, by their names."""
        return self.inputs if parent is None else self.inputs.get(parent)
    def output(self, value: Any) -> None:
        """The result, for the children: anything that JSON can hold, at most 64 KiB of it."""
        data = json_of(value)
        if len(data) > MAX_RESULT_BYTES:
            found = f"{len(data)} bytes are more than {MAX_RESULT_BYTES}"
            raise TooLargeError(f"Cannot hand over the output: {found}; put an artifact")
        with open(setting("TITAN_OUTPUT"), "wb") as file: file.write(data)
    def log(self, *words: Any) -> None: print(*words, flush=True)
    @property
    def cancelled(self) -> threading.Event:
        """Set when the job is to end. From the first look at it on (of the main thread) the program
        decides for itself how it ends."""
        if self._cancelled is None:
            event = self._cancelled = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: event.set())
        return self._cancelled
    def add(self, jobs: Union[Pipeline, list[dict[str, Any]]]) -> int:
        """More jobs for the run of this one. A retried job adds them again: see `spawn`."""
        with self.waits.busy(): return self.titan.add_jobs(self.run, jobs)

    # ── steps
    def step(self, name: str, input: Any, fn: Callable[[StepCall], T], *,
             effect: str = "idempotent", on_ambiguous: Optional[str] = None,
             reserve: Optional[dict[str, int]] = None, ordinal: Optional[int] = None) -> T:
        """A durable step: `fn` runs, and its result (JSON, at most 64 MiB) is kept. In a later
        attempt it is not run again, and the result is there at once.

        `effect`: what a second call does: `read` nothing, `idempotent` no more than one, `once`
        damage. `on_ambiguous`: what happens to a step that was begun, and of which nobody knows how
        it ended: `retry`, `fail`, or `ask` a person (the default of `once`). `reserve`: tokens and
        usd_micros that it may cost at most. What `fn` raises is raised here: the step has failed,
        and the next attempt runs it again."""
        self.waits.check_outside(f"begin step {name}")
        with self._lock:  # steps of one name are counted in the order of their calls
            ordinal = self._ordinals[name] = ordinal or self._ordinals.get(name, 0) + 1
        where = f"step {name}#{ordinal}"
        start = {"name": name, "ordinal": ordinal, "effect": effect, "reserve": reserve,
                 "input_hash": hash_of(where, input),
                 "on_ambiguous": on_ambiguous or ("ask" if effect == "once" else "retry")}
        answer = self._begin(start)
        if answer.type == "ambiguous":
            told = self._ambiguous(start, answer)
            if told is not None: return from_json(told)
            answer = self._begin({**start, "again": True})
        if answer.type == "changed": raise StepError("STEP_CHANGED", answer.words)
        if answer.type == "ambiguous": raise self._lost(start, answer)
        if answer.type == "run": return self._run(start, fn, StepCall(answer.idempotency_key))
        if answer.blob is None: return from_json(answer.result)
        return from_json(self._blob(answer.blob.sha256))
    def _begin(self, start: dict[str, Any]) -> Row:
        need = {"steps": 1, **(start["reserve"] or {})}
        return self._within_budget(need, ask.STEP_START, **start, call=secrets.randbits(32))
    def _run(self, start: dict[str, Any], fn: Callable[[StepCall], T], call: StepCall) -> T:
        try:
            with self.waits.step(start["name"]): value = fn(call)
            result = fit(f'step {start["name"]}#{start["ordinal"]}', value)
        except Exception as error:
            # A result that nobody can keep: it has happened, and a person has to look.
            is_unfit = isinstance(error, StepError) and error.code == "UNFIT"
            if not (is_unfit and start["effect"] == "once"):
                words = str(error) or type(error).__name__
                failure = words.encode("utf-8", "replace")[:MAX_FAILURE_BYTES]
                self._end(start, failure=failure.decode("utf-8", "ignore"), usage=call.cost or None)
            raise
        self._end(start, result=result, usage=call.cost or None)
        return from_json(result)
    def _end(self, start: dict[str, Any], **ending: Any) -> None:
        """A result for which the log, or the master, has no room goes to its disk."""
        end = {"name": start["name"], "ordinal": start["ordinal"], **ending}
        result = ending.get("result")
        with self.waits.busy():
            try:
                if result is None or len(result) <= MAX_RESULT_BYTES:
                    self.titan._ask(ask.STEP_END, **end)
                    return
            except InvalidError:
                if result is None: raise
            blob = {"sha256": self.titan.put_blob(result), "size": len(result)}
            self.titan._ask(ask.STEP_END, **{**end, "result": None, "blob": blob})
    def _blob(self, name: str) -> bytes:
        with self.waits.busy():
            pieces: list[bytes] = []
            body = wire.BlobRef.encode({"hash": name})
            for item in self.titan._items(ask.BLOB_GET.opcode, body):
                pieces = [] if item is None else [*pieces, own.BlobChunk.decode(item).data]
            return b"".join(pieces)
    def _ambiguous(self, start: dict[str, Any], answer: Row) -> Optional[bytes]:
        """The result, if a person knows it. None: it is to run again."""
        lost = self._lost(start, answer)
        if start["on_ambiguous"] != "ask": raise lost
        name, ordinal = start["name"], start["ordinal"]
        key = f"step:{name}#{ordinal}"
        if len(key.encode()) > MAX_KEY_BYTES:
            key = f"step:{hashlib.sha256(key.encode()).hexdigest()[:32]}#{ordinal}"
        found = self.ask(key, f"{lost}. Did it happen?",
                         choices=["run it again", "it happened", "give up"],
                         form=[{"name": "result", "label": "if it happened: its result, as JSON"}])
        choice = found.fields.get("choice", "give up") if found.approved else "give up"
        if choice == "run it again": return None
        if choice == "give up":
            where = f"step {name}#{ordinal} of {self.run}/{self.id}"
            raise StepError("GIVEN_UP", f"Cannot go on: {where} was given up by a person")
        typed = found.fields.get("result", "")
        try: json.loads(typed)
        except ValueError: typed = json.dumps(typed)  # a text that is no JSON is a text
        self._end(start, result=typed.encode(), told=True)
        return typed.encode()
    def _lost(self, start: dict[str, Any], answer: Row) -> StepError:
        begun = datetime.datetime.fromtimestamp(answer.started_at / 1000, datetime.timezone.utc)
        where = f'Step {start["name"]}#{start["ordinal"]} of {self.run}/{self.id}'
        return StepError("AMBIGUOUS", f"{where} was begun by attempt {answer.attempt} at "
                         f"{begun:%Y-%m-%dT%H:%M:%SZ}, and nobody knows how it ended")
    def _within_budget(self, need: dict[str, int], request: Request, **keys: Any) -> Row:
        """What the budget does not allow waits until there is room for it."""
        while True:
            try:
                with self.waits.busy(): return self.titan._ask(request, **keys)
            except BudgetError: self.waits.until({"type": "budget", "need": need})

    # ── more jobs, answers, time
    def spawn(self, key: str, jobs: Union[Pipeline, list[dict[str, Any]]], *, stage: str = "",
              before: Iterable[str] = ()) -> Row:
        """Adds jobs to the own run, and gives their ids as `jobs`. Parents may be jobs that the run
        has already. `before`: jobs that have not started, and are to wait for these. The same key
        adds nothing again, in this attempt and in every later one."""
        listed = [job_keys(each) for each in getattr(jobs, "definition", {"jobs": jobs})["jobs"]]
        places, count = {}, 0
        for keys in listed:
            places[keys.get("id")] = range(count, count + keys.get("replicas", 1))
            count += keys.get("replicas", 1)
        named = itertools.chain.from_iterable(keys.texts("depends_on", "needs") for keys in listed)
        parents = [name for name in dict.fromkeys(named) if name not in places]
        places.update((name, [count + at]) for at, name in enumerate(parents))
        specs = [spec for keys in listed for spec in job_specs(keys, places)]
        later = [before] if isinstance(before, str) else [*before]
        edges = [{"job": at, "child": child} for at in range(count) for child in later]
        self._within_budget({"jobs": count}, ask.SPAWN, key=key, stage=stage, jobs=specs,
                            parents=parents, before=edges)
        return Row(key=key, jobs=[spec["id"] for spec in specs])
    def results(self, jobs: Union[Row, Iterable[str]], *, hold: bool = False) -> list:
        """Waits for jobs, and gives what they have handed in. While nothing else is under way this
        process ends, and gives its slot back; another attempt comes to the same place."""
        settled = self.settled(jobs, hold=hold)
        for each in settled:
            if each.status not in ("COMPLETED", "RUNNING"): raise JobFailedError(each)
        return [each.result for each in settled]
    def settled(self, jobs: Union[Row, Iterable[str]], *, hold: bool = False) -> list:
        """The same, and says of each job how it has ended: id, status, result, failure."""
        ids = [*(jobs.jobs if isinstance(jobs, Row) else jobs)]
        if ids and hold: self._look(lambda: all(has_settled(each) for each in self._infos(ids)))
        elif ids: self.waits.until({"type": "jobs", "jobs": ids})
        return [Row(id=each.id, status=each.status, result=value_of(each.result),
                    failure=each.failure and each.failure.message) for each in self._infos(ids)]
    def _infos(self, ids: list[str]) -> list[Row]:
        found = []
        for at in range(0, len(ids), MAX_STATUS_JOBS):
            with self.waits.busy():
                found += self.titan.status(self.run, only=ids[at:at + MAX_STATUS_JOBS]).jobs
        return found
    def ask(self, key: str, message: str, *, choices: Iterable[str] = (), form: Iterable[dict] = (),
            hold: bool = False, **rules: Any) -> Row:
        """Asks people, and waits for the answer: outcome (approved, rejected, skipped), approved,
        by, comment, at, fields, and choice. `form` and `rules` (approvers, required, timeout,
        on_timeout, self_approval) are those of a gate (lesson 16); `choices` is short for a field
        that has to be filled in. The same key asks nothing again, and gives the same answer."""
        if not hold: self.waits.check_outside("ask")  # or it would be open, and nobody waits for it
        fields = [*form, *([{"name": "choice", "choices": [*choices], "required": True}]
                           if choices else [])]
        hitl = {"message": message, "form": fields or None, **rules}
        gate = gate_of(Keys("the question", {"hitl": hitl}, "hitl"))
        def look() -> Optional[Row]:
            with self.waits.busy(): return self.titan._ask(ask.ASK, key=key, gate=gate).decision
        decision = look()
        while decision is None:
            if hold: self._look(look)
            else: self.waits.until({"type": "ask", "key": key})
            decision = look()
        outcome = "approved" if decision.approved else "skipped" if decision.skipped else "rejected"
        typed = {each["name"]: typed_value(each["type"], decision["values"][each["name"]])
                 for each in gate["rules"]["form"] if each["name"] in decision["values"]}
        return Row({key: decision[key] for key in ("approved", "by", "comment", "at")},
                   outcome=outcome, fields=typed, choice=typed.get("choice"))
    def sleep(self, key: str, seconds: float, *, hold: bool = False) -> None:
        """Goes on after so many seconds, counted from the first attempt that came here."""
        ms = round(seconds * 1000)
        at = self.step(f"sleep:{key}", ms, lambda call: round(time.time() * 1000) + ms)
        if hold: self._look(lambda: time.time() * 1000 >= at)
        elif time.time() * 1000 < at: self.waits.until({"type": "time", "at": at})
    def _look(self, is_met: Callable[[], Any]) -> None:
        """Holds the slot, and looks again and again, more seldom each time."""
        pause = FIRST_LOOK_S
        with self.waits.busy():
            while not is_met():
                time.sleep(pause)
                pause = min(2 * pause, LAST_LOOK_S)

def has_settled(info: Row) -> bool:
    return info.status in OVER or (info.service is not None and info.service.phase == "READY")
def typed_value(kind: str, text: str) -> Any:
    if kind == "boolean": return text == "true"
    return value_of(text.encode()) if kind == "number" else text
def hash_of(where: str, input: Any) -> bytes:
    """Inputs that mean the same have one hash, in whatever order their members were written."""
    try: text = json.dumps(input, ensure_ascii=False, separators=(",", ":"), sort_keys=True,
                           allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StepError("UNFIT", f"Cannot start {where}: its input is no JSON: {error}") from error
    return hashlib.sha256(text).digest()
def fit(where: str, value: Any) -> bytes:
    try: data = b"" if value is None else json_of(value)
    except (TypeError, ValueError, RecursionError) as error:
        words = f"Cannot keep the result of {where}: it is no JSON: {error}"
        raise StepError("UNFIT", words) from error
    if len(data) <= MAX_BLOB_BYTES: return data
    found = f"{len(data)} bytes are more than {MAX_BLOB_BYTES}; put an artifact"
    raise StepError("UNFIT", f"Cannot keep the result of {where}: {found}")
def from_json(data: Optional[bytes]) -> Any: return json.loads(data) if data else None
job = Job()
