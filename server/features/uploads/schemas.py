"""Uploads on the wire: a photo, the progress of its background's removal, and the limits."""

from enum import StrEnum

from pydantic import model_validator

from server.features.shared.schemas import Id, Page, Timestamp, Whole, Wire, absent

MAX_BYTES = 10 * 1024 * 1024
"""Of the file as it is sent."""
MAX_PIXELS = 25_000_000
"""Width times height, by the file's header."""


class UploadStatus(StrEnum):
    """The state of an upload."""

    QUEUED = "queued"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether the state cannot change any more."""
        return self in (UploadStatus.DONE, UploadStatus.FAILED)


class UploadPurpose(StrEnum):
    """What the photo is used for once it is done."""

    AVATAR = "avatar"
    MENU_ITEM = "menu_item"


class NewUpload(Wire):
    """The fields besides the `file`; `menu_item_id` is the dish of a `menu_item`, else left out."""

    purpose: UploadPurpose
    menu_item_id: Id | None = None

    @model_validator(mode="after")
    def _names_its_dish(self) -> "NewUpload":
        if self.purpose is UploadPurpose.MENU_ITEM and self.menu_item_id is None:
            raise ValueError("purpose menu_item needs the dish's menu_item_id")
        if self.purpose is UploadPurpose.AVATAR and self.menu_item_id is not None:
            raise ValueError("an avatar has no menu_item_id; leave it out")
        return self


class AcceptedUpload(Wire):
    """The answer to an upload: it is in the queue. Ask for it again after `Retry-After`."""

    id: str
    status: UploadStatus


class Upload(Wire):
    """An upload, as its owner sees it.

    URLs are paths on this server. `width` and `height` are the result's, in pixels; `size` is the
    sent file's, in bytes. `ahead` counts the photos before it while it is queued; `hold` says why
    the queue stands still, if it does. `error` says what went wrong and what to do, where it is
    `failed`. Nothing is at `original_url` any more once `original_removed_at` is set. `shown`: it
    is the dish's photo or the avatar now.
    """

    id: str
    status: UploadStatus
    purpose: UploadPurpose
    menu_item_id: str | None = absent()
    attempts: Whole
    ahead: Whole | None = absent()
    hold: str | None = absent()
    error: str | None = absent()
    media_type: str
    size: Whole
    original_url: str
    result_url: str | None = absent()
    width: Whole | None = absent()
    height: Whole | None = absent()
    shown: bool = False
    created_at: Timestamp
    finished_at: Timestamp | None = absent()
    original_removed_at: Timestamp | None = absent()


class UploadPage(Page[Upload]):
    """The account's uploads, newest first."""
