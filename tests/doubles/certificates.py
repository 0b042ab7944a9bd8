"""Certificates for servers on loopback, good and bad, and the client's context that judges them."""

import datetime as dt
import ssl
from pathlib import Path

import attrs
import trustme


@attrs.define(eq=False)
class Certificates:
    """A certificate authority of its own; `client` trusts it and nobody else."""

    _authority: trustme.CA = attrs.field(factory=trustme.CA, init=False)

    @property
    def client(self) -> ssl.SSLContext:
        """A client's context as the daemon builds it, with this authority."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def write(self, path: Path) -> Path:
        """Write the authority's certificate for the daemon's `SSL_CERT_FILE`."""
        self._authority.cert_pem.write_to_path(path)
        return path

    def server(
        self,
        *names: str,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
    ) -> ssl.SSLContext:
        """A server's context with a certificate for these names or addresses."""
        certificate = self._authority.issue_cert(
            *(names or ("127.0.0.1",)), not_before=not_before, not_after=not_after
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context


def foreign_server() -> ssl.SSLContext:
    """A server's context signed by an authority that nobody trusts."""
    return Certificates().server()
