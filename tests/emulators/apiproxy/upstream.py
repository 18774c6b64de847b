"""The way to the real API server as a kubeconfig says, and the kubeconfig and certificate of the proxy before it."""

import base64
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Upstream:
    """The current context of a kubeconfig: server, how it proves itself, and who we are."""

    server: str
    cluster: dict[str, Any]
    user: dict[str, Any]
    namespace: str

    @classmethod
    def load(cls, kubeconfig: Path) -> "Upstream":
        """Read the current context."""
        document = yaml.safe_load(kubeconfig.read_text())

        def named(section: str, name: str) -> dict[str, Any]:
            return next(one[section[:-1]] for one in document[section] if one["name"] == name)

        context = named("contexts", document["current-context"])
        cluster = named("clusters", context["cluster"])
        user = named("users", context["user"]) if context.get("user") else {}
        return cls(cluster["server"].rstrip("/"), cluster, user, context.get("namespace", "default"))

    def tls(self, folder: Path) -> ssl.SSLContext:
        """TLS towards the server: its authority, and our client certificate where the kubeconfig has one.

        Args:
            folder: where what the kubeconfig holds inline is put for the TLS library.
        """
        context = ssl.create_default_context()
        if self.cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif authority := _file(self.cluster, "certificate-authority", folder):
            context.load_verify_locations(authority)
        if certificate := _file(self.user, "client-certificate", folder):
            context.load_cert_chain(certificate, _file(self.user, "client-key", folder))
        return context

    def kubeconfig(self, port: int, authority: Path) -> str:
        """A kubeconfig for the same user by way of the proxy; a client certificate is presented by the proxy itself."""
        own = ("client-certificate", "client-certificate-data", "client-key", "client-key-data")
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "proxy",
                    "cluster": {"server": f"https://{HOST}:{port}", "certificate-authority": str(authority)},
                }
            ],
            "users": [{"name": "proxy", "user": {key: value for key, value in self.user.items() if key not in own}}],
            "contexts": [
                {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy", "namespace": self.namespace}}
            ],
            "current-context": "proxy",
        }
        return yaml.safe_dump(document, sort_keys=False)


def _file(section: dict[str, Any], key: str, folder: Path) -> Path | None:
    if inline := section.get(f"{key}-data"):
        path = folder / key
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(inline))
        return path
    return Path(section[key]) if section.get(key) else None


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """Certificate and key of the proxy, made at the first start; it is its own authority."""
    certificate, key = folder / "proxy.crt", folder / "proxy.key"
    if certificate.exists():
        return certificate, key
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "apiproxy")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=400))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    key.touch(mode=0o600)
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return certificate, key
