"""Who is calling, and what the backend lets them do. Rights of several groups add up."""

from collections.abc import Collection
from dataclasses import dataclass

from tests.emulators.scicat.answers import Json, Refusal
from tests.emulators.scicat.settings import Account, Settings
from tests.emulators.scicat.store import Store


@dataclass(frozen=True, slots=True)
class Caller:
    """An account, or nobody, with the rights of its groups."""

    settings: Settings
    account: Account | None

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the account; the username is not one."""
        return self.account.groups if self.account else ()

    def _any(self, groups: Collection[str]) -> bool:
        return bool(self.account) and any(group in groups for group in self.groups)

    @property
    def _admin(self) -> bool:
        return self._any(self.settings.admin)

    @property
    def _privileged(self) -> bool:
        return self._admin or self._any(self.settings.create_dataset_privileged)

    @property
    def _lifecycle(self) -> bool:
        return any(group in self.settings.update_dataset_lifecycle for group in self.groups)

    def _owns(self, dataset: Json) -> bool:
        return dataset.get("ownerGroup") in self.groups

    def may_create(self, dataset: Json) -> bool:
        """Whether this dataset may be created; a pid chosen by the client needs more than the plain right."""
        if self._privileged:
            return True
        if not self.account or not self._owns(dataset):
            return False
        if self._any(self.settings.create_dataset_with_pid) or "#all" in self.settings.create_dataset_with_pid:
            return True
        plain = self._any(self.settings.create_dataset) or "#all" in self.settings.create_dataset
        return plain and not dataset.get("pid")

    def may_read_children(self, dataset: Json) -> bool:
        """Whether the file lists may be read; having created them does not count."""
        shared = any(group in (dataset.get("accessGroups") or ()) for group in self.groups)
        return bool(dataset.get("isPublished")) or self._admin or self._owns(dataset) or shared

    def may_read(self, dataset: Json) -> bool:
        """Whether the dataset itself may be read; the lifecycle right reads any."""
        return self._lifecycle or self.may_read_children(dataset)

    def may_update(self, dataset: Json) -> bool:
        """Whether the dataset may be patched: owners and admins only."""
        return self._admin or self._owns(dataset)

    def may_update_lifecycle(self, dataset: Json) -> bool:
        """Whether the lifecycle sub-route may be patched."""
        return self._lifecycle or self.may_update(dataset)

    def may_add_children(self, dataset: Json) -> bool:
        """Whether file lists and attachments may be added."""
        return self._privileged or self._owns(dataset)

    def may_delete(self) -> bool:
        """Whether datasets and file lists may be deleted; an admin may not."""
        return self._any(self.settings.delete)

    def may_delete_attachments(self, dataset: Json) -> bool:
        """Whether attachments may be deleted."""
        return self.may_delete() or self.may_update(dataset)

    def may_create_attachments(self, attachment: Json) -> bool:
        """Whether the routes of v4 may write this attachment; on 4.27 they are closed to all but admins."""
        if self._admin or not self.settings.is_v5:
            return self._admin
        return self._any(self.settings.attachment_privileged) or self._owns(attachment)


def require(allowed: bool, message: str = "Unauthorized access") -> None:
    """Refuse with 403 unless ``allowed``."""
    if not allowed:
        raise Refusal(403, message)


def identify(settings: Settings, store: Store, authorization: str | None) -> Caller:
    """The caller behind an Authorization header; a token in the query counts for nothing.

    No header, another scheme or a token that was never issued: nobody, without complaint. An expired token: nobody on
    4.27, refused outright on 5.2, even at the login.
    """
    nobody = Caller(settings, None)
    scheme, _, token = (authorization or "").partition(" ")
    known = store.token(token) if scheme == "Bearer" else None
    if known is None:
        return nobody
    username, expired = known
    if not expired:
        return Caller(settings, settings.account(username))
    if settings.is_v5:
        raise Refusal(401, "SESSION_EXPIRED")
    return nobody
