"""Making a pod's volumes and environment real: folders with files from ConfigMaps, Secrets and tokens.

They are made once, when the pod starts; a later change of a ConfigMap or Secret does not reach it, and tokens are not
renewed. Read-only mounts and size limits are not enforced.
"""

import base64
from pathlib import Path

from tests.cluster.pod_api import CallError, PodApi, insist
from tests.cluster.pod_plan import Json, Mounts, UnsupportedError, container, expand, field_value

_KINDS = {"configmaps": "ConfigMap", "secrets": "Secret"}
_TERMINATION_LOG = "/dev/termination-log"


class NotThereYetError(Exception):
    """A ConfigMap or Secret that the pod needs, or a key of it, does not exist yet."""


class PodVolumes:
    """What one pod gets from the API, below its folder."""

    def __init__(self, api: PodApi, pod: Json, folder: Path) -> None:
        self._api = api
        self._pod = pod
        self._container = container(pod)
        self._folder = folder

    async def mounts(self) -> Mounts:
        """Make the volumes and say where each mount path is.

        Raises:
            NotThereYetError: something they need is missing.
            UnsupportedError: a kind of volume that cannot be had here.
        """
        volumes = {volume["name"]: volume for volume in self._pod["spec"].get("volumes", [])}
        made: dict[str, Path] = {}
        folders = {self._container.get("terminationMessagePath", _TERMINATION_LOG): self.termination_log}
        for mount in self._container.get("volumeMounts", []):
            name = mount["name"]
            if mount.get("subPathExpr"):
                raise UnsupportedError(f"the mount of {name} has a subPathExpr, which the runner does not know")
            if name not in made:
                made[name] = await self._make(volumes[name])
            real: Path = made[name] / mount["subPath"] if mount.get("subPath") else made[name]
            if not real.exists():
                real.mkdir(parents=True)
            folders[mount["mountPath"].rstrip("/")] = real
        return Mounts(folders)

    @property
    def termination_log(self) -> Path:
        """The file whose text becomes the message of the ended container."""
        return self._folder / "termination-log"

    async def environment(self, mounts: Mounts) -> dict[str, str]:
        """The container's variables, mount paths in their values replaced.

        Raises:
            NotThereYetError: something they need is missing.
        """
        variables: dict[str, str] = {}
        for source in self._container.get("envFrom", []):
            for kind, reference in (("configmaps", "configMapRef"), ("secrets", "secretRef")):
                if reference in source:
                    data = await self._data(kind, source[reference]["name"], source[reference].get("optional", False))
                    prefix = source.get("prefix", "")
                    variables |= {prefix + key: mounts.rewrite(value.decode()) for key, value in data.items()}
        for entry in self._container.get("env", []):
            value = await self._value(entry, variables)
            if value is not None:
                variables[entry["name"]] = mounts.rewrite(value)
        return variables

    async def _value(self, entry: Json, before: dict[str, str]) -> str | None:
        source = entry.get("valueFrom")
        if source is None:
            return expand(entry.get("value", ""), before)
        if "fieldRef" in source:
            return field_value(self._pod, source["fieldRef"]["fieldPath"])
        for kind, reference in (("configmaps", "configMapKeyRef"), ("secrets", "secretKeyRef")):
            if reference in source:
                name, key = source[reference]["name"], source[reference]["key"]
                optional = source[reference].get("optional", False)
                data = await self._data(kind, name, optional)
                if key not in data and not optional:
                    raise NotThereYetError(f"{_KINDS[kind]} {name} has no key {key}")
                return data[key].decode() if key in data else None
        raise UnsupportedError(f"the variable {entry['name']} comes from {', '.join(source)}, unknown to the runner")

    async def _make(self, volume: Json) -> Path:
        if "hostPath" in volume:
            host = Path(volume["hostPath"]["path"])
            if volume["hostPath"].get("type") == "DirectoryOrCreate":
                host.mkdir(parents=True, exist_ok=True)
            return host
        folder = self._folder / "volumes" / str(volume["name"])
        folder.mkdir(parents=True, exist_ok=True)
        sources: list[Json] = volume["projected"].get("sources", []) if "projected" in volume else [volume]
        for source in sources:
            for name, content in (await self._files(source)).items():
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(mode=0o600)
                file.write_bytes(content)
        return folder

    async def _files(self, source: Json) -> dict[str, bytes]:
        """Names and contents of one source of a volume; none for an emptyDir."""
        if "configMap" in source:
            return await self._chosen("configmaps", source["configMap"], source["configMap"]["name"])
        if "secret" in source:
            return await self._chosen("secrets", source["secret"], _secret_name(source["secret"]))
        if "serviceAccountToken" in source:
            token = source["serviceAccountToken"]
            return {token["path"]: await self._token(token)}
        if "downwardAPI" in source:
            items = source["downwardAPI"].get("items", [])
            return {item["path"]: field_value(self._pod, item["fieldRef"]["fieldPath"]).encode() for item in items}
        if "emptyDir" in source:
            return {}
        kinds = ", ".join(key for key in source if key != "name")
        raise UnsupportedError(f"a volume of kind {kinds} cannot be had here; use hostPath or CLUSTER=kind")

    async def _chosen(self, kind: str, wanted: Json, name: str) -> dict[str, bytes]:
        data = await self._data(kind, name, wanted.get("optional", False))
        items = wanted.get("items")
        if not items:
            return data
        missing = [item["key"] for item in items if item["key"] not in data]
        if missing and not wanted.get("optional", False):
            raise NotThereYetError(f"{_KINDS[kind]} {name} has no key {', '.join(missing)}")
        return {item["path"]: data[item["key"]] for item in items if item["key"] in data}

    async def _data(self, kind: str, name: str, optional: bool) -> dict[str, bytes]:
        path = f"/api/v1/namespaces/{self._pod['metadata']['namespace']}/{kind}/{name}"
        try:
            found = await insist(lambda: self._api.get(path))
        except CallError as error:
            if error.status != 404:
                raise
            if optional:
                return {}
            raise NotThereYetError(f"{_KINDS[kind]} {name} not found") from error
        data: Json = found.get("data", {})
        if kind == "secrets":
            return {key: base64.b64decode(value) for key, value in data.items()}
        binary = {key: base64.b64decode(value) for key, value in found.get("binaryData", {}).items()}
        return {**{key: value.encode() for key, value in data.items()}, **binary}

    async def _token(self, wanted: Json) -> bytes:
        metadata = self._pod["metadata"]
        account = self._pod["spec"].get("serviceAccountName", "default")
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        spec = {
            "audiences": [wanted["audience"]] if wanted.get("audience") else [],
            "expirationSeconds": wanted.get("expirationSeconds", 3600),
            "boundObjectRef": bound,
        }
        answer = await insist(lambda: self._api.create(path, {"spec": spec}))
        return str(answer["status"]["token"]).encode()


def _secret_name(source: Json) -> str:
    """A volume calls it ``secretName``, a projected source ``name``."""
    return str(source.get("secretName") or source["name"])
