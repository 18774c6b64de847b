"""The picture on SciCat: one attachment of ours for each dataset, known again by its caption.

Attachments have no key, so what is there is always looked at first. A PUT would take the attachment away from its
dataset, so replacing means to remove and to add.
"""

from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import DatasetEntry, Picture
from dichroism_operator.catalogue.errors import DatasetGone, EntryRefused
from dichroism_operator.catalogue.scicat_client import MissingError
from dichroism_operator.catalogue.scicat_conversation import Conversation, Json

_SHOWN = 10
"""The server lists no more attachments than these."""


def has_picture(talk: Conversation, sha256: str) -> bool:
    """Whether one attachment is our picture of this content, and none is of another."""
    ours = [one for one in _attachments(talk) if documents.is_ours(one)]
    return len(ours) == 1 and documents.shows(ours[0], sha256)


def ensure_picture(talk: Conversation, entry: DatasetEntry, picture: Picture) -> None:
    """Attach the picture and remove older ones of ours.

    Raises:
        EntryRefused: the account may not remove an older one, the picture is too large, or others have attached so much
            that ours cannot be found again.
        DatasetGone: there is no such dataset.
    """
    attached = _attachments(talk)
    ours = [one for one in attached if documents.is_ours(one)]
    present = next((one for one in ours if documents.shows(one, picture.sha256)), None)
    for one in ours:
        if one is not present:
            talk.client.remove_attachment(str(one.get("id") or one.get("_id") or one.get("aid")))
    if present is not None:
        return
    if len(attached) >= _SHOWN:
        raise EntryRefused(f"dataset {talk.pid} has so many attachments that ours would not be found again")
    access = list(dict.fromkeys(entry.access_groups))
    dataset = talk.read_back() if not access else {}
    talk.client.add_attachment(
        documents.attachment(picture, entry.owner_group, access or dataset.get("accessGroups") or ())
    )


def _attachments(talk: Conversation) -> list[Json]:
    try:
        return talk.client.attachments()
    except MissingError as error:
        raise DatasetGone(f"dataset {talk.pid} is not in the catalogue any more", pid=talk.pid) from error
