"""One request through the service: fault, caller, route, answer, log."""

import asyncio
import base64
import json
import secrets
import stat
import subprocess
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.emulators.sfapi import faults
from tests.emulators.sfapi.access import Access
from tests.emulators.sfapi.slurm import Slurm

BASE = "/api/v1.2"
MACHINE = "perlmutter"
USER = "alsdev"
_RECEIVE_LIMIT = 64 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """The web application of one service in a folder."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._faults = state / "faults"
        self._tasks = state / "tasks"
        self._tasks.mkdir(exist_ok=True)
        self._access = Access(state)
        self._slurm = Slurm(state)
        self._calls = state / "calls.jsonl"

    def application(self) -> web.Application:
        """All routes; everything goes through :meth:`_served`."""
        self._slurm.begin_waiting()
        application = web.Application(client_max_size=_RECEIVE_LIMIT, middlewares=[self._served])
        add, base = application.router.add_route, BASE
        add("POST", "/c2id/token", self._token)
        add("GET", f"{base}/status/{MACHINE}", self._status)
        add("GET", f"{base}/account/", self._account)
        add("GET", f"{base}/account/clients", self._clients)
        add("POST", f"{base}/compute/jobs/{MACHINE}", self._submit)
        add("GET", f"{base}/compute/jobs/{MACHINE}", self._jobs)
        add("DELETE", f"{base}/compute/jobs/{MACHINE}/{{id}}", self._cancel)
        add("GET", f"{base}/tasks/{{id}}", self._task)
        add("POST", f"{base}/utilities/command/{MACHINE}", self._command)
        add("GET", f"{base}/utilities/ls/{MACHINE}/{{path:.*}}", self._ls)
        add("GET", f"{base}/utilities/download/{MACHINE}/{{path:.*}}", self._download)
        add("PUT", f"{base}/utilities/upload/{MACHINE}/{{path:.*}}", self._upload)
        add("POST", "/_emul/expire-tokens", self._expire_tokens)
        add("POST", "/_emul/begin", self._begin)
        return application

    @web.middleware
    async def _served(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path.startswith("/_emul/"):
            return await handler(request)
        fault = faults.take(
            self._faults, "status", "drop-before", "drop-after", path=f"{request.method} {path}", method=request.method
        )
        answer: web.StreamResponse | None = None
        if fault and fault["action"] == "status":
            answer = web.json_response({"detail": "made to fail"}, status=fault["status"])
        elif not fault or fault["action"] == "drop-after":
            caller = self._access.client_of(request.headers.get("Authorization", ""))
            if path == "/c2id/token" or path.startswith(f"{BASE}/status") or caller:
                answer = await handler(request)
            else:
                answer = web.json_response({"detail": "Token is not valid"}, status=401)
        lost = fault is not None and fault["action"].startswith("drop")
        with self._calls.open("a") as log:
            said = None if lost or answer is None else answer.status
            log.write(json.dumps({"method": request.method, "path": path, "status": said, "at": time.time()}) + "\n")
        if lost and request.transport is not None:
            request.transport.abort()
        return answer or web.Response()

    # login and status

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        status, body = self._access.issue(form)
        return web.json_response(body, status=status)

    async def _status(self, request: web.Request) -> web.Response:
        about = {"name": MACHINE, "full_name": "Perlmutter", "description": "", "system_type": "compute", "notes": []}
        return web.json_response({**about, "status": "active", "updated_at": datetime.now(UTC).isoformat()})

    async def _account(self, request: web.Request) -> web.Response:
        person = {"uid": 1001, "name": USER, "firstname": "ALS", "lastname": "mover", "email": "als@example.org"}
        return web.json_response(person)

    async def _clients(self, request: web.Request) -> web.Response:
        client_id = self._access.client_of(request.headers.get("Authorization", "")) or ""
        until = datetime.fromtimestamp(self._access.expires(client_id), UTC).isoformat()
        return web.json_response([{"name": "dichroism", "clientId": client_id, "expiresAt": until}])

    # jobs

    def _done(self, result: dict[str, Any]) -> web.Response:
        """The answer of what runs as a task: here it is done at once, but the caller has to ask."""
        task_id = secrets.token_hex(8)
        (self._tasks / task_id).write_text(json.dumps(result))
        return web.json_response({"task_id": task_id, "status": "OK", "error": None})

    async def _task(self, request: web.Request) -> web.Response:
        task_id = request.match_info["id"]
        file = self._tasks / task_id
        if "/" in task_id or not file.exists():
            return web.json_response({"detail": "no such task"}, status=404)
        return web.json_response({"id": task_id, "status": "completed", "result": file.read_text()})

    async def _submit(self, request: web.Request) -> web.Response:
        form = await request.post()
        script = str(form["job"])
        if not Path(script).is_file():
            return self._done({"status": "error", "error": f"{script}: No such file or directory"})
        job_id = self._slurm.submit(script)
        if faults.take(self._faults, "twice"):
            job_id = self._slurm.submit(script)
        return self._done({"status": "ok", "jobid": job_id, "error": None})

    async def _jobs(self, request: web.Request) -> web.Response:
        asked = dict(one.partition("=")[::2] for one in request.query.getall("kwargs", []))
        ids = asked["jobid"].split(",") if "jobid" in asked else None
        history = request.query.get("sacct", "").lower() == "true"
        rows = []
        for job in self._slurm.rows():
            if (ids is not None and job["id"] not in ids) or asked.get("user", USER) != USER:
                continue
            if history:
                rows.append({"jobid": job["id"], "jobname": job["name"], "state": job["state"], "user": USER})
            elif job["state"] in ("PENDING", "RUNNING"):
                row = {"jobid": job["id"], "name": job["name"], "state": job["state"], "user": USER}
                rows.append({**row, "reason": "Priority" if job["state"] == "PENDING" else "None"})
        return web.json_response({"status": "OK", "output": rows, "error": None})

    async def _cancel(self, request: web.Request) -> web.Response:
        self._slurm.cancel(request.match_info["id"])
        return web.json_response({"status": "OK", "output": None, "error": None})

    # files

    async def _command(self, request: web.Request) -> web.Response:
        form = await request.post()
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-c", str(form["executable"])], capture_output=True, text=True, check=False
        )
        failed = done.returncode != 0
        error = done.stderr if failed else None
        return self._done({"status": "error" if failed else "ok", "output": done.stdout, "error": error})

    async def _ls(self, request: web.Request) -> web.Response:
        path = _path(request)
        try:
            found = path.lstat()
        except OSError:
            text = f"ls: cannot access '{path}': No such file or directory"
            return web.json_response({"status": "ERROR", "entries": [], "error": text})
        names = [".", "..", *sorted(one.name for one in path.iterdir())] if path.is_dir() else [str(path)]
        entries = []
        for name in names:
            here = (path / name) if path.is_dir() else path
            try:
                found = here.lstat()
            except FileNotFoundError:
                continue
            moment = datetime.fromtimestamp(found.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            about = {"perms": stat.filemode(found.st_mode), "size": found.st_size, "date": moment, "name": name}
            entries.append({**about, "hardlinks": 1, "user": USER, "group": "als"})
        return web.json_response({"status": "OK", "entries": entries, "error": None})

    async def _download(self, request: web.Request) -> web.Response:
        try:
            content = _path(request).read_bytes()
        except OSError as error:
            return web.json_response({"status": "ERROR", "file": None, "error": f"{error.strerror}"})
        file = base64.b64encode(content).decode()
        return web.json_response({"status": "OK", "file": file, "is_binary": True, "error": None})

    async def _upload(self, request: web.Request) -> web.Response:
        path = _path(request)
        field = (await request.post())["file"]
        if not isinstance(field, web.FileField) or not path.parent.is_dir():
            text = f"{path.parent}: No such file or directory"
            return web.json_response({"status": "ERROR", "output": None, "error": text})
        path.write_bytes(field.file.read())
        return web.json_response({"status": "OK", "output": "uploaded", "error": None})

    # control

    async def _expire_tokens(self, request: web.Request) -> web.Response:
        self._access.expire_tokens()
        return web.json_response(None)

    async def _begin(self, request: web.Request) -> web.Response:
        self._slurm.begin_waiting()
        return web.json_response(None)


def _path(request: web.Request) -> Path:
    return Path("/" + request.match_info["path"].lstrip("/"))
